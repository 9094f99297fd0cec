// What the kernels of products share.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/kernels.h"

namespace qwen3::cuda {

// Of at most eight rows, or of experts with few rows each.
void gemv(const LinearArgs& args, Stream stream);
// Whether gemv() holds the activations in shared memory, which a norm wants.
bool gemv_holds(int n_rows, int n_in);
// Of any number of rows; no norm.
void gemm(const LinearArgs& args, Stream stream);

// One product `y` of row `row` and output `o` (and of up_proj), with what comes after it.
__device__ inline void finish(const LinearArgs& args, int part, int64_t row, int o, float y, float up) {
  const LinearPart& p = args.parts[part];
  if (p.bias != nullptr) y += p.bias[o];
  const int64_t at = row * p.out.stride + o;
  if (args.epilogue == Epilogue::add) {
    static_cast<float*>(p.out.data)[at] += y;
  } else if (args.epilogue == Epilogue::silu_mul) {
    if (args.parts[1].bias != nullptr) up += args.parts[1].bias[o];
    static_cast<bf16*>(p.out.data)[at] = from_float<bf16>(silu_mul_of(round_bf16(y), round_bf16(up)));
  } else if (p.out.type == Element::f32) {
    static_cast<float*>(p.out.data)[at] = y;
  } else {
    static_cast<bf16*>(p.out.data)[at] = from_float<bf16>(y);
  }
}

}  // namespace qwen3::cuda
