#include "kernels/cuda/device.h"

#include <atomic>

#include "base/available_memory.h"
#include "base/error.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/kernels.h"

namespace qwen3::cuda {
namespace {

Device ask() {
  int n = 0;
  const cudaError_t status = cudaGetDeviceCount(&n);
  QWEN3_CHECK(
      status != cudaErrorInsufficientDriver,
      ErrorKind::unsupported,
      "backend cuda: expected an NVIDIA driver for CUDA 13 (580 or newer); found none, or an "
      "older one; use --backend cpu");
  QWEN3_CHECK(status == cudaSuccess || status == cudaErrorNoDevice,
              ErrorKind::unsupported,
              "backend cuda: {}; use --backend cpu",
              cudaGetErrorString(status));
  QWEN3_CHECK(
      status == cudaSuccess && n > 0,
      ErrorKind::unsupported,
      "backend cuda: expected an NVIDIA card; found none (does CUDA_VISIBLE_DEVICES hide it?); "
      "use --backend cpu");
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0), "asking the card");
  QWEN3_CHECK(
      properties.major == 9 && properties.minor == 0,
      ErrorKind::unsupported,
      "backend cuda: expected compute capability 9.0 (H100, H200, GH200); the {} has {}.{}; use "
      "--backend cpu",
      properties.name,
      properties.major,
      properties.minor);
  return {properties.name,
          properties.multiProcessorCount,
          static_cast<int64_t>(properties.totalGlobalMem)};
}

}  // namespace

const Device& device() {
  static const Device one = ask();
  return one;
}

int multiprocessors() { return device().n_multiprocessors; }

namespace {
std::atomic<bool> may_depend{true};
}

bool dependent_launches() { return may_depend.load(std::memory_order_relaxed); }

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // an error that does not stick is not met twice
  throw Error(
      status == cudaErrorMemoryAllocation ? ErrorKind::out_of_memory : ErrorKind::device,
      fmt::format("cuda: {}: {} ({})", what, cudaGetErrorString(status), cudaGetErrorName(status)));
}

Storage device_memory(int64_t bytes) {
  device();
  if (bytes == 0) return {};
  void* data = nullptr;
  // The copy engine reads rows in pieces of 128 bytes, the last one to its end.
  constexpr int64_t kSlack = 128;
  const cudaError_t status = cudaMalloc(&data, static_cast<size_t>(bytes + kSlack));
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    fail(ErrorKind::out_of_memory,
         "memory: cannot reserve {} on the card; {} are free",
         format_bytes(bytes),
         format_bytes(free_device_bytes()));
  }
  check(status, "reserving memory");
  Storage storage(static_cast<std::byte*>(data), bytes, Place::device, [](std::byte* d, int64_t) {
    static_cast<void>(cudaFree(d));
  });
  check(cudaMemset(data, 0, static_cast<size_t>(bytes + kSlack)), "clearing memory");
  check(cudaDeviceSynchronize(), "clearing memory");
  return storage;
}

Storage pinned_memory(int64_t bytes) {
  void* data = nullptr;
  check(cudaMallocHost(&data, static_cast<size_t>(bytes)), "reserving memory of the host");
  return {static_cast<std::byte*>(data), bytes, Place::host, [](std::byte* d, int64_t) {
            static_cast<void>(cudaFreeHost(d));
          }};
}

int64_t free_device_bytes() {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for free memory");
  return static_cast<int64_t>(free);
}

}  // namespace qwen3::cuda

namespace qwen3 {

void use_dependent_launches(bool may) { cuda::may_depend.store(may, std::memory_order_relaxed); }

}  // namespace qwen3
