// Tensor: a cheap, non-owning view of dense numbers. Storage (storage.h) owns the bytes.
//
// Row-major, PyTorch order, last dimension contiguous. Only the stride of the first dimension may be
// larger than dense ("row stride"), which is enough for a column slice of a wider buffer. The matrices
// of a model are not tensors but weights (weight.h).
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "tensor/dtype.h"

namespace qwen3 {

// Up to four dimensions. A default Shape has rank 0 and no elements.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : rank_(static_cast<int>(dims.size())) {
    assert(rank_ <= 4);
    std::copy(dims.begin(), dims.end(), dims_.begin());
  }
  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t numel() const {
    int64_t n = rank_ == 0 ? 0 : 1;
    for (int i = 0; i < rank_; ++i) n *= (*this)[i];
    return n;
  }
  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, 4> dims_{};
  int rank_ = 0;
};

std::string to_string(const Shape& shape);  // "[3, 128]"

// Who may read and write memory: the host and all backends, or only the backend that gave it.
enum class Place : uint8_t { host, device };

class Tensor {
 public:
  Tensor() = default;
  // A dense view. `data` must stay valid while the view is used.
  Tensor(void* data, DType type, Shape shape, Place place = Place::host)
      : data_(data), shape_(shape), row_stride_(0), type_(type), place_(place) {
    row_stride_ = shape.rank() == 0 ? 0 : shape[0] == 0 ? 0 : shape.numel() / shape[0];
  }
  static Tensor view(std::span<float> values, Shape shape) {
    assert(static_cast<int64_t>(values.size()) >= shape.numel());
    return {values.data(), DType::f32, shape};
  }
  // Numbers that an operation reads.
  static Tensor view(std::span<const int32_t> values) {
    return {const_cast<int32_t*>(values.data()), DType::i32, {static_cast<int64_t>(values.size())}};
  }

  explicit operator bool() const { return data_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t dim(int i) const { return shape_[i]; }
  int rank() const { return shape_.rank(); }
  int64_t numel() const { return shape_.numel(); }
  DType dtype() const { return type_; }
  int64_t row_stride() const { return row_stride_; }  // in elements, between rows of dimension 0
  Place place() const { return place_; }
  void* data() const { return data_; }

  // Of a tensor on a device, only its backend may ask, and knows what to do with the address.
  float* f32() const {
    assert(type_ == DType::f32);
    return static_cast<float*>(data_);
  }
  int32_t* i32() const {
    assert(type_ == DType::i32);
    return static_cast<int32_t*>(data_);
  }
  uint16_t* u16() const {
    assert(dtype_size(type_) == 2);
    return static_cast<uint16_t*>(data_);
  }
  float* f32_row(int64_t row) const { return f32() + row * row_stride_; }

  // Rows [begin, begin + count) of dimension 0.
  Tensor rows(int64_t begin, int64_t count) const;
  // Columns [begin, begin + count) of a matrix: its rows stay as far apart as they were.
  Tensor columns(int64_t begin, int64_t count) const;
  // The same elements under another shape. REQUIRES: dense, equal numel.
  Tensor reshape(Shape shape) const;

 private:
  void* data_ = nullptr;
  Shape shape_;
  int64_t row_stride_ = 0;
  DType type_ = DType::f32;
  Place place_ = Place::host;
};

}  // namespace qwen3
