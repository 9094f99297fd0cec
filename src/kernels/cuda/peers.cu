// What ranks on several cards do together (kernels/peer_window.h). Each block meets the same block of all
// other ranks, and needs no other: it raises a flag in their memory and waits for theirs in its own.
// Then it reads the numbers where they lie: with few of them the way there and back is what it costs.
//
// Blocks wait for other cards while they hold their multiprocessor, so there are never more than find room
// at once, also of several ranks on one card.
#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kUnroll = 4;  // groups of four numbers that a thread reads at once

__device__ void raise(uint32_t* flag, uint32_t value) {
  asm volatile("fence.acq_rel.sys; st.release.sys.global.u32 [%0], %1;" ::"l"(flag), "r"(value)
               : "memory");
}
__device__ uint32_t look(const uint32_t* flag) {
  uint32_t value;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(flag) : "memory");
  return value;
}
// Never from a cache that another card does not keep up to date.
__device__ float4 read(const float4* from) {
  float4 v;
  asm volatile("ld.volatile.global.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
               : "l"(from)
               : "memory");
  return v;
}
__device__ float read(const float* from) {
  float v;
  asm volatile("ld.volatile.global.f32 %0, [%1];" : "=f"(v) : "l"(from) : "memory");
  return v;
}

// What any rank's kernels before this one have written is there behind it.
__device__ void meet(const PeerMeeting& m) {
  __shared__ uint32_t count;
  if (threadIdx.x == 0) count = m.counters[blockIdx.x] + 1;
  __syncthreads();
  const int other = static_cast<int>(threadIdx.x);
  if (other < m.n_ranks && other != m.rank) {
    raise(m.flags[other] + m.rank * kMaxPeerBlocks + blockIdx.x, count);
    const uint32_t* const theirs = m.flags[m.rank] + other * kMaxPeerBlocks + blockIdx.x;
    while (static_cast<int32_t>(look(theirs) - count) < 0) {
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) m.counters[blockIdx.x] = count;
}

__device__ float4 operator+(const float4& a, const float4& b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}

// The tree over kInputs neighbours.
template <typename T, int kInputs>
__device__ T balanced(const T* v) {
  if constexpr (kInputs == 1) {
    return v[0];
  } else {
    return balanced<T, kInputs / 2>(v) + balanced<T, kInputs / 2>(v + kInputs / 2);
  }
}

// Any other: at most five results wait for their right neighbour.
template <typename T>
__device__ T in_steps(const PeerSumArgs& args, int64_t at) {
  T waiting[6];
  int depth = 0, next = 0;
  for (int i = 0; i < args.n_steps; ++i) {
    if ((args.takes >> i & 1) != 0) {
      waiting[depth++] = read(reinterpret_cast<const T*>(args.inputs[next++]) + at);
    } else {
      --depth;
      waiting[depth - 1] = waiting[depth - 1] + waiting[depth];
    }
  }
  return waiting[0];
}

template <typename T, int kInputs>
__device__ T sum_at(const PeerSumArgs& args, int64_t at) {
  if constexpr (kInputs == 0) {
    return in_steps<T>(args, at);
  } else {
    T v[kInputs];
#pragma unroll
    for (int i = 0; i < kInputs; ++i) v[i] = read(reinterpret_cast<const T*>(args.inputs[i]) + at);
    return balanced<T, kInputs>(v);
  }
}

// kInputs: of a balanced tree; 0: any.
template <int kInputs>
__global__ void __launch_bounds__(kThreads)
    peer_sum_kernel(const __grid_constant__ PeerSumArgs args) {
  pdl_trigger();
  pdl_wait();
  meet(args.meeting);
  auto* const x = reinterpret_cast<float4*>(args.x);
  const int64_t n = args.n / 4, all = int64_t{gridDim.x} * kThreads;
  constexpr int kAtOnce = kInputs == 0 ? 1 : kUnroll;
  int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  for (; at + (kAtOnce - 1) * all < n; at += kAtOnce * all) {
    float4 v[kAtOnce];
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) v[u] = sum_at<float4, kInputs>(args, at + u * all);
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      x[at + u * all] = args.add ? x[at + u * all] + v[u] : v[u];
    }
  }
  for (; at < n; at += all) {
    const float4 v = sum_at<float4, kInputs>(args, at);
    x[at] = args.add ? x[at] + v : v;
  }
  const int64_t rest = 4 * n + threadIdx.x;
  if (blockIdx.x == 0 && rest < args.n) {
    const float v = sum_at<float, kInputs>(args, rest);
    args.x[rest] = args.add ? args.x[rest] + v : v;
  }
}

__global__ void __launch_bounds__(kThreads)
    peer_merge_kernel(const __grid_constant__ PeerSumArgs args) {
  pdl_trigger();
  pdl_wait();
  meet(args.meeting);
  const int64_t all = int64_t{gridDim.x} * kThreads;
  for (int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x; at < args.n; at += all) {
    uint32_t bits = 0;
    for (int i = 0; i < args.n_inputs; ++i) bits |= __float_as_uint(read(args.inputs[i] + at));
    args.x[at] = __uint_as_float(bits);
  }
}

__global__ void __launch_bounds__(kThreads)
    peer_meet_kernel(const __grid_constant__ PeerMeeting meeting) {
  pdl_trigger();
  pdl_wait();
  meet(meeting);
}

// Order does not matter to it: blocks add what they have in whole numbers.
__global__ void __launch_bounds__(kThreads)
    checksum_kernel(unsigned long long* sum, const uint32_t* words, int64_t n) {
  pdl_trigger();
  pdl_wait();
  unsigned long long mine = 0;
  const int64_t all = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += all) {
    // splitmix64's last steps, of the word and its place
    unsigned long long z =
        words[i] + 0x9E3779B97F4A7C15ull * static_cast<unsigned long long>(i + 1);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    mine += z ^ z >> 31;
  }
  for (int d = 16; d > 0; d /= 2) mine += __shfl_xor_sync(kAllLanes, mine, d);
  if (threadIdx.x % 32 == 0) atomicAdd(sum, mine);
}

unsigned blocks_of(int64_t n, int64_t of_thread) {
  return static_cast<unsigned>(
      std::clamp<int64_t>(ceil_div_of(n, of_thread * kThreads), 1, kMaxPeerBlocks));
}

// Whether the steps add neighbours in a balanced tree.
bool is_balanced(const PeerSumArgs& args) {
  uint32_t takes = 0;
  int n_steps = 0;
  for (int i = 0; i < args.n_inputs; ++i) {
    takes |= 1u << n_steps++;
    for (int pairs = i + 1; pairs % 2 == 0; pairs /= 2) ++n_steps;
  }
  return (args.n_inputs & (args.n_inputs - 1)) == 0 && n_steps == args.n_steps &&
         takes == args.takes;
}

}  // namespace

void peer_meet(const PeerMeeting& meeting, Stream stream) {
  launch(peer_meet_kernel, dim3(1), kThreads, 0, stream, meeting);
}

void peer_sum(const PeerSumArgs& args, Stream stream) {
  const int n = is_balanced(args) ? args.n_inputs : 0;
  const auto kernel = n == 1   ? peer_sum_kernel<1>
                      : n == 2 ? peer_sum_kernel<2>
                      : n == 4 ? peer_sum_kernel<4>
                      : n == 8 ? peer_sum_kernel<8>
                               : peer_sum_kernel<0>;
  launch(kernel, dim3(blocks_of(args.n, 4)), kThreads, 0, stream, args);
}

void peer_merge(const PeerSumArgs& args, Stream stream) {
  launch(peer_merge_kernel, dim3(blocks_of(args.n, 1)), kThreads, 0, stream, args);
}

void checksum(uint64_t* sum, const void* words, int64_t n_words, Stream stream) {
  launch(checksum_kernel,
         dim3(blocks_of(n_words, 8)),
         kThreads,
         0,
         stream,
         reinterpret_cast<unsigned long long*>(sum),
         static_cast<const uint32_t*>(words),
         n_words);
}

}  // namespace qwen3::cuda
