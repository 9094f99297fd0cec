// Mixture of experts, launch by launch: gate and up of each pair of a token and an expert, down, and their sum.
#pragma once

#include "kernels/backend.h"
#include "kernels/cuda/arguments.h"

namespace qwen3::cuda {

class ExpertProducts {
 public:
  // Whether kernels take such weights.
  static bool take(const ExpertWeights& w) {
    return pair_in_tiles(w.gate_proj, w.up_proj) && in_tiles(w.down_proj);
  }
  // x = or += Backend::experts_sum(h).
  void sum(const Tensor& x,
           bool add,
           const Tensor& h,
           const ExpertWeights& w,
           const Routing& routing,
           Stream stream);
  // Of the memory between products (Buffer).
  int64_t generation() const { return generation_; }

 private:
  Buffer scratch_;
  int64_t generation_ = 0;
};

}  // namespace qwen3::cuda
