#include "tensor/tensor.h"

#include <fmt/format.h>

namespace qwen3 {

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) text += fmt::format("{}{}", i == 0 ? "" : ", ", shape[i]);
  return text + "]";
}

Tensor Tensor::rows(int64_t begin, int64_t count) const {
  assert(begin >= 0 && count >= 0 && begin + count <= dim(0));
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

Tensor Tensor::columns(int64_t begin, int64_t count) const {
  assert(rank() == 2 && begin >= 0 && count >= 0 && begin + count <= dim(1));
  Tensor part = *this;
  part.data_ = static_cast<std::byte*>(data_) + begin * dtype_size(type_);
  part.shape_ = {dim(0), count};
  return part;
}

Tensor Tensor::reshape(Shape shape) const {
  assert(shape.numel() == numel());
  return {data_, type_, shape, place_};
}

}  // namespace qwen3
