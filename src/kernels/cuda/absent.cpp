// Stands in for the backend in a build without CUDA.
#include "base/error.h"
#include "kernels/cuda/cuda_backend.h"

namespace qwen3 {

std::unique_ptr<Backend> make_cuda_backend() {
  fail(
      ErrorKind::unsupported,
      "backend cuda: this qwen3 was built without CUDA; build with QWEN3_CUDA=ON (script/bootstrap "
      "--cuda installs the compiler), or use --backend cpu");
}

bool has_cuda_device() { return false; }

void use_dependent_launches(bool) {}

}  // namespace qwen3
