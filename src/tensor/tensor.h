// Tensor: a cheap, non-owning view of dense numbers. Storage (storage.h) owns the bytes.
//
// Row-major, PyTorch order, last dimension contiguous; weights are [out, in]. Only the stride of
// the first dimension may be larger than dense ("row stride"), which is enough for a column slice
// of a wider buffer.
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

// How the bytes of a weight are arranged. A backend packs weights once, at load, into the layout
// that it asks for; shape() always speaks of the logical [out, in] or [n_experts, out, in].
enum class Layout : uint8_t {
  row_major,
  // Panels of 16 output rows, `in` running inside a panel, so that one vector register holds the
  // same column of 16 rows (pairs of columns for 16-bit types). Rows are padded with zeros to a
  // multiple of 16, columns to a multiple of 2 (16-bit types):
  //   f32        [out/16][in]   [16]       element (row, col) at ((row/16)*in + col)*16 + row%16
  //   bf16, f16  [out/16][in/2] [16][2]    element (row, col) at ((row/16)*in/2 + col/2)*32 +
  //   row%16*2 + col%2
  // where `in` is already padded. Experts follow each other, each padded by itself.
  panel16,
};

class Tensor {
 public:
  Tensor() = default;
  // A dense view. `data` must stay valid while the view is used.
  Tensor(void* data, DType type, Shape shape, Layout layout = Layout::row_major)
      : data_(data), shape_(shape), row_stride_(0), type_(type), layout_(layout) {
    row_stride_ = shape.rank() == 0 ? 0 : shape[0] == 0 ? 0 : shape.numel() / shape[0];
  }
  static Tensor view(std::span<float> values, Shape shape) {
    assert(static_cast<int64_t>(values.size()) >= shape.numel());
    return {values.data(), DType::f32, shape};
  }

  explicit operator bool() const { return data_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t dim(int i) const { return shape_[i]; }
  int rank() const { return shape_.rank(); }
  int64_t numel() const { return shape_.numel(); }
  DType dtype() const { return type_; }
  Layout layout() const { return layout_; }
  int64_t row_stride() const { return row_stride_; }  // in elements, between rows of dimension 0
  void* data() const { return data_; }

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

  // Rows [begin, begin + count) of dimension 0. REQUIRES: row_major.
  Tensor rows(int64_t begin, int64_t count) const;
  // The same elements under another shape. REQUIRES: row_major, dense, equal numel.
  Tensor reshape(Shape shape) const;
  // Matrix `index` of a [n, out, in] tensor, in any layout.
  Tensor matrix(int64_t index) const;

 private:
  void* data_ = nullptr;
  Shape shape_;
  int64_t row_stride_ = 0;
  DType type_ = DType::f32;
  Layout layout_ = Layout::row_major;
};

// Bytes that a weight of this shape occupies in `layout`, padding included.
int64_t layout_bytes(DType type, const Shape& shape, Layout layout);

}  // namespace qwen3
