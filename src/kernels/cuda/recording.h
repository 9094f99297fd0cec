// A step's kernels, recorded once and launched at once ever after.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>

#include "kernels/cuda/check.h"
#include "kernels/cuda/kernels.h"

namespace qwen3::cuda {

class Recording {
 public:
  Recording() = default;
  ~Recording() { forget(); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  explicit operator bool() const { return exec_ != nullptr; }
  void record(Stream stream, const std::function<void()>& forward) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a step");
    cudaGraph_t graph = nullptr;
    try {
      forward();
    } catch (...) {
      static_cast<void>(cudaStreamEndCapture(stream, &graph));
      if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
      throw;
    }
    check(cudaStreamEndCapture(stream, &graph), "recording a step");
    const cudaError_t status = cudaGraphInstantiate(&exec_, graph, 0);
    static_cast<void>(cudaGraphDestroy(graph));
    check(status, "recording a step");
  }
  void forget() {
    if (exec_ != nullptr) static_cast<void>(cudaGraphExecDestroy(exec_));
    exec_ = nullptr;
  }
  void replay(Stream stream) const { check(cudaGraphLaunch(exec_, stream), "replaying a step"); }

  int64_t generation = -1;  // of the addresses that it was recorded with

 private:
  cudaGraphExec_t exec_ = nullptr;
};

}  // namespace qwen3::cuda
