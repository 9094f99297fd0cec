// The backend of NVIDIA cards of the Hopper generation (compute capability 9.0): H100, H200, GH200.
//
// Weights are bfloat16 in the order that matrix instructions want (layout.h), or float32 rows; other
// types become float32. Activations between operations are bfloat16, sums and the residual stream float32. A
// row's bits do not depend on its batch: which kernel runs is decided by the number of rows, what it
// computes is not.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace qwen3 {

// Throws Error{unsupported} saying why: built without CUDA, no driver, no card, another generation.
std::unique_ptr<Backend> make_cuda_backend();

// Whether make_cuda_backend() would succeed.
bool has_cuda_device();

// Whether kernels may start before the ones ahead have ended, from now on; at first they may. The bits are the
// same, which tests see to.
void use_dependent_launches(bool may);

}  // namespace qwen3
