// Weight: a matrix, or a stack of matrices, as one backend keeps it.
//
// A Weight is not a Tensor: its elements may come in blocks that share a scale, and how its bytes are
// arranged is known to the backend that packed it and to nobody else. So no operation on activations
// takes one by mistake.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace qwen3 {

// How the numbers of a weight are stored: plain, or in blocks of a row that share scales. What the
// bits of a block mean stands in tensor/blocks.h.
enum class WeightType : uint8_t {
  f32,
  bf16,
  f16,
  // GGUF's (ggml's) blocks, byte for byte
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  mxfp4,
  // blocks of 32 and 128 in which sources put together what safetensors hold as tensors of their own
  affine4,
  affine8,
  fp8,
  fp8_128,  // in blocks of 128
};

// The least piece of a row that can stand by itself.
struct WeightBlock {
  int32_t elements;
  int32_t bytes;
};

struct WeightTypeInfo {
  std::string_view name;
  WeightBlock block;
};

inline constexpr WeightTypeInfo kWeightTypeInfo[] = {
    {"float32", {1, 4}},       {"bfloat16", {1, 2}},
    {"float16", {1, 2}},       {"Q4_0", {32, 18}},
    {"Q4_1", {32, 20}},        {"Q5_0", {32, 22}},
    {"Q5_1", {32, 24}},        {"Q8_0", {32, 34}},
    {"Q2_K", {256, 84}},       {"Q3_K", {256, 110}},
    {"Q4_K", {256, 144}},      {"Q5_K", {256, 176}},
    {"Q6_K", {256, 210}},      {"IQ4_NL", {32, 18}},
    {"IQ4_XS", {256, 136}},    {"MXFP4", {32, 17}},
    {"int4", {32, 28}},        {"int8", {32, 44}},
    {"float8_e4m3", {32, 36}}, {"float8_e4m3 of 128", {128, 132}},
};
constexpr int kWeightTypes = static_cast<int>(std::size(kWeightTypeInfo));

constexpr WeightBlock block_of(WeightType type) {
  return kWeightTypeInfo[static_cast<size_t>(type)].block;
}
constexpr std::string_view weight_type_name(WeightType type) {
  return kWeightTypeInfo[static_cast<size_t>(type)].name;
}
constexpr bool is_plain(WeightType type) { return type <= WeightType::f16; }
constexpr bool is_fp8(WeightType type) {
  return type == WeightType::fp8 || type == WeightType::fp8_128;
}

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

// The element type of a weight of plain numbers.
constexpr DType dtype_of(WeightType type) {
  assert(is_plain(type));
  return type == WeightType::f32 ? DType::f32 : type == WeightType::bf16 ? DType::bf16 : DType::f16;
}

// What a backend makes of a matrix of some type and shape (Backend::weight_format).
struct WeightFormat {
  int32_t layout = 0;    // a number of the backend's own
  int64_t bytes = 0;     // of one matrix, padding included
  int64_t row_step = 1;  // rows are packed from multiples of this
  // Into how many pieces a sum over the inputs is cut (Backend::sum_pieces); 0: as the backend cuts it for
  // a matrix of this shape.
  int32_t n_pieces = 0;
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

  // Matrices [begin, begin + count) of a stack.
  Weight matrices(int64_t begin, int64_t count) const {
    assert(begin >= 0 && count >= 0 && begin + count <= n_matrices());
    return {data_ + begin * format_.bytes, type_, {count, n_out(), n_in()}, format_};
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

// Rows of a matrix as a file stores them: dense, `n_in` elements each; plain numbers are aligned to
// an element, blocks to nothing.
struct WeightRows {
  WeightType type;
  const std::byte* data;
  int64_t n_rows, n_in;
};

}  // namespace qwen3
