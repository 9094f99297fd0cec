// Which kernel computes a product: decided by the number of rows alone.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {

bool norms_by_the_way(int n_rows, int n_in) { return gemv_holds(n_rows, n_in); }

void linear(const LinearArgs& args, Stream stream) {
  if (args.n_rows <= kMaxNormedRows) {
    gemv(args, stream);
  } else if (args.n_rows <= kMaxPairedRows && args.experts.offsets == nullptr) {
    few_rows(args, stream);
  } else {
    gemm(args, stream);
  }
}

}  // namespace qwen3::cuda
