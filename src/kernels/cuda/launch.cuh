// Launching a kernel that may start before the one ahead of it has ended (device.cuh).
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "kernels/cuda/check.h"
#include "kernels/cuda/kernels.h"

namespace qwen3::cuda {

template <typename... Params, typename... Args>
void launch(void (*kernel)(Params...),
            dim3 grid,
            int threads,
            size_t shared,
            Stream stream,
            Args&&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = dependent_launches() ? 1 : 0;
  // All alike: a multiprocessor must be empty before it divides its memory anew, so a kernel that wants
  // another division cannot start early.
  attributes[1].id = cudaLaunchAttributePreferredSharedMemoryCarveout;
  attributes[1].val.sharedMemCarveout = cudaSharedmemCarveoutMaxShared;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = 2;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...), "launch");
}

// Once for each kernel that wants more than 48 KiB.
template <typename Kernel>
void allow_shared(Kernel* kernel, int bytes) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
        "shared memory");
}

}  // namespace qwen3::cuda
