// Weight: a matrix, or a stack of matrices, as one backend keeps it.
//
// A Weight is not a Tensor: its elements may come in blocks that share a scale, and how its bytes are
// arranged is known to the backend that packed it and to nobody else. So no operation on activations
// takes one by mistake.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace qwen3 {

// How the numbers of a weight are stored.
enum class WeightType : uint8_t { f32, bf16, f16 };

// The least piece of a row that can stand by itself.
struct WeightBlock {
  int32_t elements;
  int32_t bytes;
};

constexpr WeightBlock block_of(WeightType type) { return {1, type == WeightType::f32 ? 4 : 2}; }

// Bytes of a row of `n` elements as files store it. REQUIRES: whole blocks.
constexpr int64_t row_bytes(WeightType type, int64_t n) {
  return n / block_of(type).elements * block_of(type).bytes;
}

// The type of plain numbers in a file or in memory; there is none for i32.
constexpr WeightType weight_type_of(DType type) {
  assert(type != DType::i32);
  return type == DType::f32    ? WeightType::f32
         : type == DType::bf16 ? WeightType::bf16
                               : WeightType::f16;
}

// The element type of a weight whose blocks are plain numbers.
constexpr DType dtype_of(WeightType type) {
  switch (type) {
    case WeightType::f32:
      return DType::f32;
    case WeightType::bf16:
      return DType::bf16;
    case WeightType::f16:
      return DType::f16;
  }
  return DType::f32;
}

constexpr std::string_view weight_type_name(WeightType type) { return dtype_name(dtype_of(type)); }

// What a backend makes of a matrix of some type and shape (Backend::weight_format).
struct WeightFormat {
  int32_t layout = 0;    // a number of the backend's own
  int64_t bytes = 0;     // of one matrix, padding included
  int64_t row_step = 1;  // rows are packed from multiples of this
};

// A non-owning handle, cheap to copy: [out, in], or a stack [n, out, in] of which each matrix is packed
// by itself, one after the other. Shapes are logical; padding does not show.
class Weight {
 public:
  Weight() = default;
  Weight(std::byte* data, WeightType type, Shape shape, WeightFormat format)
      : data_(data), shape_(shape), format_(format), type_(type) {}

  explicit operator bool() const { return data_ != nullptr; }
  WeightType type() const { return type_; }
  const Shape& shape() const { return shape_; }
  int64_t numel() const { return shape_.numel(); }
  int64_t n_matrices() const { return shape_.rank() == 3 ? shape_[0] : 1; }
  int64_t n_out() const { return shape_[shape_.rank() - 2]; }
  int64_t n_in() const { return shape_[shape_.rank() - 1]; }
  int64_t bytes() const { return n_matrices() * format_.bytes; }

  // One matrix of a stack; of a single matrix, number 0 is itself.
  Weight matrix(int64_t index) const {
    assert(index >= 0 && index < n_matrices());
    return {data_ + index * format_.bytes, type_, {n_out(), n_in()}, format_};
  }

  // For the backend that packed it.
  std::byte* data() const { return data_; }
  const WeightFormat& format() const { return format_; }

 private:
  std::byte* data_ = nullptr;
  Shape shape_;
  WeightFormat format_;
  WeightType type_ = WeightType::f32;
};

// Rows of a matrix as a file stores them: dense, `n_in` elements each, aligned to an element.
struct WeightRows {
  WeightType type;
  const std::byte* data;
  int64_t n_rows, n_in;
};

}  // namespace qwen3
