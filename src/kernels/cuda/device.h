// The card: what it is, its memory, and errors of its runtime as errors of ours.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "tensor/storage.h"

namespace qwen3::cuda {

struct Device {
  std::string name;
  int n_multiprocessors = 0;
  int64_t total_bytes = 0;
};

// The first card that the process sees (CUDA_VISIBLE_DEVICES chooses), asked once.
// Throws Error{unsupported}: no driver, one too old, no card, or one of another generation.
const Device& device();

Storage device_memory(int64_t bytes);  // zeroed. Throws Error{out_of_memory}.
Storage pinned_memory(int64_t bytes);  // of the host, for copies at full speed
int64_t free_device_bytes();

}  // namespace qwen3::cuda
