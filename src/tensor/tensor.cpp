#include "tensor/tensor.h"

#include <fmt/format.h>

#include "base/checked.h"
#include "base/error.h"

namespace qwen3 {

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) text += fmt::format("{}{}", i == 0 ? "" : ", ", shape[i]);
  return text + "]";
}

Tensor Tensor::rows(int64_t begin, int64_t count) const {
  assert(layout_ == Layout::row_major && begin >= 0 && count >= 0 && begin + count <= dim(0));
  Tensor part = *this;
  part.data_ = static_cast<std::byte*>(data_) + begin * row_stride_ * dtype_size(type_);
  Shape shape = shape_;
  switch (rank()) {
    case 1:
      shape = {count};
      break;
    case 2:
      shape = {count, dim(1)};
      break;
    case 3:
      shape = {count, dim(1), dim(2)};
      break;
    default:
      shape = {count, dim(1), dim(2), dim(3)};
  }
  part.shape_ = shape;
  return part;
}

Tensor Tensor::reshape(Shape shape) const {
  assert(layout_ == Layout::row_major && shape.numel() == numel());
  return {data_, type_, shape};
}

Tensor Tensor::matrix(int64_t index) const {
  assert(rank() == 3 && index >= 0 && index < dim(0));
  const Shape shape = {dim(1), dim(2)};
  auto* begin = static_cast<std::byte*>(data_) + index * layout_bytes(type_, shape, layout_);
  return {begin, type_, shape, layout_};
}

int64_t layout_bytes(DType type, const Shape& shape, Layout layout) {
  if (layout == Layout::row_major || shape.rank() < 2) return shape.numel() * dtype_size(type);
  const int64_t out = round_up(shape[shape.rank() - 2], 16);
  const int64_t in = round_up(shape[shape.rank() - 1], dtype_size(type) == 2 ? 2 : 1);
  const int64_t n_matrices = shape.rank() == 3 ? shape[0] : 1;
  return n_matrices * out * in * dtype_size(type);
}

}  // namespace qwen3
