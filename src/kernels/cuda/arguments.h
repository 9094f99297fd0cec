// What tensors and weights are to the launches of kernels.h, and memory that those take besides.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <limits>

#include "kernels/cuda/codes.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/weight_loader.h"
#include "tensor/tensor.h"

namespace qwen3::cuda {

inline Element element_of(DType type) {
  assert(type == DType::f32 || type == DType::bf16);
  return type == DType::f32 ? Element::f32 : Element::bf16;
}

inline Rows rows_of(const Tensor& t) { return {t.data(), element_of(t.dtype()), t.row_stride()}; }

inline int int_of(int64_t n) {
  assert(n <= std::numeric_limits<int>::max());
  return static_cast<int>(n);
}

inline bool all_in_tiles(std::initializer_list<const Linear*> ws) {
  return std::ranges::all_of(ws, [](const Linear* w) { return in_tiles(w->weight); });
}
// A product of a pair takes both in codes or neither.
inline bool pair_in_tiles(const Weight& a, const Weight& b) {
  return in_tiles(a) && layout_of(a) == layout_of(b);
}

inline LinearPart part_of(const Tensor& out, const Weight& w, const Tensor& bias = {}) {
  return {
      .weight = w.data(),
      .bias = bias ? bias.f32() : nullptr,
      .n_out = int_of(w.n_out()),
      .n_segments = w.format().n_pieces > 0 ? w.format().n_pieces : n_segments(w.n_out(), w.n_in()),
      .coding = coding_of(w),
      .matrix_bytes = w.format().bytes,
      .out = rows_of(out)};
}

// Memory of the card that grows, outside of recordings; `generation` counts how often it has moved.
class Buffer {
 public:
  template <typename T = void>
  T* at_least(int64_t bytes, int64_t& generation) {
    if (storage_.bytes() < bytes) {
      storage_ = {};
      storage_ = device_memory(bytes + bytes / 4);
      ++generation;
    }
    return reinterpret_cast<T*>(storage_.data());
  }

 private:
  Storage storage_;
};

}  // namespace qwen3::cuda
