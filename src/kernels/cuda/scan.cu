// The largest logits of a row, in the order that engine/logit_scan.h has them: columns of 64 numbers and
// their maxima, the k-th largest maximum as a threshold that at least k numbers reach, and the numbers that
// reach it.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kGroup = 1024, kLanes = 16;
constexpr int kThreads = 1024;
constexpr int kMaxColumns = 8192;  // a vocabulary of 524,288

// Larger numbers have larger bits.
__device__ uint32_t ordered(float v) {
  const uint32_t bits = __float_as_uint(v);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__global__ void __launch_bounds__(256) columns_kernel(float* column_max,
                                                      ScanResult* results,
                                                      const float* logits,
                                                      int vocab_size,
                                                      int n_real,
                                                      int n_columns) {
  __shared__ float lanes[8][kLanes];
  pdl_trigger();
  pdl_wait();
  const int row = blockIdx.y, group = blockIdx.x;
  const float* const from = logits + static_cast<int64_t>(row) * vocab_size;
  float most = -INFINITY;
  bool finite = true;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int i = group * kGroup + j * 256 + threadIdx.x;
    if (i >= vocab_size) break;
    const float v = from[i];
    finite = finite && isfinite(v);
    if (i < n_real) most = fmaxf(most, v);
  }
  if (!finite) results[row].finite = 0;
  most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 16));
  if (threadIdx.x % 32 < kLanes) lanes[threadIdx.x / 32][threadIdx.x % 32] = most;
  __syncthreads();
  if (threadIdx.x < kLanes) {
    for (int w = 0; w < 8; ++w) most = fmaxf(most, lanes[w][threadIdx.x]);
    const int column = group * kLanes + threadIdx.x;
    if (column < n_columns) column_max[static_cast<int64_t>(row) * n_columns + column] = most;
  }
}

__global__ void start_kernel(ScanResult* results, int n_rows) {
  pdl_trigger();
  pdl_wait();
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < n_rows) results[row].finite = 1;
}

__global__ void __launch_bounds__(kThreads) list_kernel(ScanResult* results,
                                                        const float* column_max,
                                                        const float* logits,
                                                        int vocab_size,
                                                        int n_real,
                                                        int n_columns,
                                                        int k) {
  __shared__ uint32_t keys[kMaxColumns];
  __shared__ int histogram[256];
  __shared__ uint32_t prefix;
  __shared__ int wanted, n_listed;
  __shared__ uint64_t listed[kMaxListed];
  pdl_trigger();
  pdl_wait();
  ScanResult& out = results[blockIdx.x];
  const float* const maxima = column_max + static_cast<int64_t>(blockIdx.x) * n_columns;
  const float* const row = logits + static_cast<int64_t>(blockIdx.x) * vocab_size;
  for (int c = threadIdx.x; c < n_columns; c += kThreads) keys[c] = ordered(maxima[c]);
  if (threadIdx.x == 0) {
    prefix = 0;
    wanted = k;
    n_listed = 0;
  }
  __syncthreads();
  // The k-th largest, a byte of it at a time.
  uint32_t threshold = 0;
  if (n_columns >= k) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      if (threadIdx.x < 256) histogram[threadIdx.x] = 0;
      __syncthreads();
      const uint32_t above = shift == 24 ? 0u : 0xFFFFFFFFu << (shift + 8);
      for (int c = threadIdx.x; c < n_columns; c += kThreads) {
        if ((keys[c] & above) == prefix) atomicAdd(&histogram[keys[c] >> shift & 255], 1);
      }
      __syncthreads();
      if (threadIdx.x == 0) {
        int byte = 255, left = wanted;
        while (byte > 0 && histogram[byte] < left) left -= histogram[byte--];
        wanted = left;
        prefix |= static_cast<uint32_t>(byte) << shift;
      }
      __syncthreads();
    }
    threshold = prefix;
  }
  for (int c = threadIdx.x; c < n_columns; c += kThreads) {
    if (keys[c] < threshold) continue;
    const int begin = c / kLanes * kGroup, end = min(begin + kGroup, n_real);
    for (int i = begin + c % kLanes; i < end; i += kLanes) {
      const uint32_t key = ordered(row[i]);
      if (key < threshold) continue;
      const int at = atomicAdd(&n_listed, 1);
      if (at < kMaxListed) listed[at] = static_cast<uint64_t>(i) << 32 | __float_as_uint(row[i]);
    }
  }
  __syncthreads();
  const int n = n_listed;
  for (int i = threadIdx.x; i < kMaxListed; i += kThreads) {
    if (i >= n) listed[i] = ~uint64_t{0};
  }
  __syncthreads();
  if (n <= kMaxListed) {
    // By id: a bitonic sort.
    for (int size = 2; size <= kMaxListed; size *= 2) {
      for (int step = size / 2; step > 0; step /= 2) {
        const int i = threadIdx.x, other = i ^ step;
        if (i < kMaxListed && other > i) {
          const uint64_t a = listed[i], b = listed[other];
          if ((a > b) == ((i & size) == 0)) {
            listed[i] = b;
            listed[other] = a;
          }
        }
        __syncthreads();
      }
    }
  }
  for (int i = threadIdx.x; i < min(n, kMaxListed); i += kThreads) {
    out.ids[i] = static_cast<int32_t>(listed[i] >> 32);
    out.values[i] = __uint_as_float(static_cast<uint32_t>(listed[i]));
  }
  if (threadIdx.x == 0) {
    out.n_listed = n;
    const uint32_t bits = threshold & 0x80000000u ? threshold & 0x7FFFFFFFu : ~threshold;
    out.threshold = n_columns >= k ? __uint_as_float(bits) : -INFINITY;
  }
}

}  // namespace

int64_t scan_columns(int64_t n_real) { return ceil_div_of(n_real, kGroup) * kLanes; }

void scan_rows(ScanResult* results,
               float* column_max,
               const float* logits,
               int n_rows,
               int vocab_size,
               int n_real,
               int k,
               Stream stream) {
  const auto n_columns = static_cast<int>(scan_columns(n_real));
  check(n_columns <= kMaxColumns ? cudaSuccess : cudaErrorInvalidValue,
        "scanning a vocabulary beyond 524,288");
  launch(start_kernel,
         dim3(static_cast<unsigned>((n_rows + 255) / 256)),
         256,
         0,
         stream,
         results,
         n_rows);
  const dim3 grid(static_cast<unsigned>((vocab_size + kGroup - 1) / kGroup),
                  static_cast<unsigned>(n_rows));
  launch(columns_kernel,
         grid,
         256,
         0,
         stream,
         column_max,
         results,
         logits,
         vocab_size,
         n_real,
         n_columns);
  launch(list_kernel,
         dim3(static_cast<unsigned>(n_rows)),
         kThreads,
         0,
         stream,
         results,
         column_max,
         logits,
         vocab_size,
         n_real,
         n_columns,
         k);
}

}  // namespace qwen3::cuda
