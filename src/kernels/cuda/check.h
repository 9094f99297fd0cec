// Errors of the CUDA runtime as errors of ours.
#pragma once

#include <cuda_runtime_api.h>

namespace qwen3::cuda {

// Throws Error{out_of_memory}, or Error{device}: what was attempted, and what the runtime says.
void check(cudaError_t status, const char* what);

// Whether kernels may start before the ones ahead have ended (use_dependent_launches()).
bool dependent_launches();

}  // namespace qwen3::cuda
