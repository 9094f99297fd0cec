// Mixture of experts without the host: who goes where is decided, sorted and summed on the card.
#include "kernels/cuda/experts.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

// A warp for each token: softmax over all experts, of which each lane has some, then the best one after the other.
template <int kPerLane>
__global__ void __launch_bounds__(32) route_kernel(float* weights,
                                                   int32_t* experts,
                                                   const float* logits,
                                                   int n_experts,
                                                   int top_k,
                                                   bool renormalise) {
  pdl_trigger();
  pdl_wait();
  const int lane = threadIdx.x;
  logits += static_cast<int64_t>(blockIdx.x) * n_experts;
  weights += static_cast<int64_t>(blockIdx.x) * top_k;
  experts += static_cast<int64_t>(blockIdx.x) * top_k;
  float p[kPerLane];
#pragma unroll
  for (int j = 0; j < kPerLane; ++j)
    p[j] = lane + 32 * j < n_experts ? logits[lane + 32 * j] : -INFINITY;
  float most = -INFINITY;
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) most = fmaxf(most, p[j]);
#pragma unroll
  for (int d = 16; d > 0; d /= 2) most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, d));
  float sum = 0;
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) {
    if (lane + 32 * j < n_experts) sum += p[j] = expf(p[j] - most);
  }
  sum = warp_sum(sum);
  // Probabilities as whole numbers of the same order; 0: chosen, not a number, or no expert.
  uint32_t order[kPerLane];
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) {
    p[j] = p[j] / sum;
    order[j] = lane + 32 * j < n_experts && p[j] >= 0 ? __float_as_uint(p[j]) + 1 : 0;
  }
  float total = 0;
  for (int k = 0; k < top_k; ++k) {
    uint32_t best = 0;
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) best = max(best, order[j]);
    best = __reduce_max_sync(kAllLanes, best);
    // The first of those that are equal. Where nothing is a number any choice is as wrong, and none may lead astray.
    int expert = kMaxExperts;
#pragma unroll
    for (int j = kPerLane - 1; j >= 0; --j) {
      if (order[j] == best) expert = lane + 32 * j;
    }
    expert = best == 0 ? k : __reduce_min_sync(kAllLanes, expert);
    float weight = __uint_as_float(best - 1);
    if (best == 0) weight = NAN;
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      if (lane + 32 * j == expert) order[j] = 0;
    }
    if (lane == 0) {
      weights[k] = weight;
      experts[k] = expert;
    }
    total += weight;
  }
  __syncwarp();
  if (renormalise) {
    for (int k = lane; k < top_k; k += 32) weights[k] = weights[k] / total;
  }
}

// One block: counts, offsets, then each warp walks through all pairs for its experts.
__global__ void __launch_bounds__(1024)
    sort_kernel(PairLists lists, const __grid_constant__ Routed routed) {
  __shared__ int counts[kMaxExperts], offsets[kMaxExperts + 1];
  pdl_trigger();
  pdl_wait();
  const int top_k = routed.top_k, n_pairs = routed.n_tokens * top_k;
  const int32_t* const experts = routed.experts;
  const AtHand at_hand(routed.leaves);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int e = threadIdx.x; e < at_hand.n; e += 1024) counts[e] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < n_pairs; i += 1024) {
    if (at_hand.has(experts[i] - at_hand.first)) atomicAdd(&counts[experts[i] - at_hand.first], 1);
  }
  __syncthreads();
  if (warp == 0) {
    int before = 0, n_active = 0;
    for (int base = 0; base < at_hand.n; base += 32) {
      const int e = base + lane;
      const int n = e < at_hand.n ? counts[e] : 0;
      int sum = n;
      for (int d = 1; d < 32; d *= 2) {
        const int other = __shfl_up_sync(kAllLanes, sum, d);
        if (lane >= d) sum += other;
      }
      const unsigned busy = __ballot_sync(kAllLanes, n > 0);
      if (e < at_hand.n) {
        offsets[e] = before + sum - n;
        lists.offsets[e] = offsets[e];
        if (n > 0) lists.active[1 + n_active + __popc(busy & ((1u << lane) - 1))] = e;
      }
      n_active += __popc(busy);
      before += __shfl_sync(kAllLanes, sum, 31);
    }
    if (lane == 0) {
      lists.offsets[at_hand.n] = before;
      lists.active[0] = n_active;
    }
  }
  __syncthreads();
  // Each token's experts in ascending order.
  for (int t = threadIdx.x; t < routed.n_tokens; t += 1024) {
    for (int k = 0; k < top_k; ++k) {
      const int e = experts[t * top_k + k];
      int place = 0;
      for (int j = 0; j < top_k; ++j) place += experts[t * top_k + j] < e ? 1 : 0;
      lists.leaf_of[t * top_k + place] = at_hand.leaf(routed.leaves, e - at_hand.first);
      lists.weights[t * top_k + place] = routed.weights[t * top_k + k];
    }
  }
  for (int e = warp; e < at_hand.n; e += 32) {
    int at = offsets[e];
    if (counts[e] == 0) continue;
    for (int base = 0; base < n_pairs; base += 32) {
      const int i = base + lane;
      const bool mine = i < n_pairs && experts[i] == at_hand.first + e;
      const unsigned who = __ballot_sync(kAllLanes, mine);
      if (mine) {
        const int pair = at + __popc(who & ((1u << lane) - 1)), token = i / top_k;
        int place = 0;
        for (int j = 0; j < top_k; ++j)
          place += experts[token * top_k + j] < at_hand.first + e ? 1 : 0;
        lists.tokens[pair] = token;
        lists.pair_of[token * top_k + place] = pair;
      }
      at += __popc(who);
    }
  }
}

// The same of fewer: a thread for each pair, and for each expert, that looks at all pairs.
constexpr int kSomePairs = 256;
__global__ void __launch_bounds__(kSomePairs)
    sort_some_kernel(PairLists lists, const __grid_constant__ Routed routed) {
  __shared__ int expert_of[kSomePairs];
  __shared__ bool is_first[kSomePairs];  // of its expert's
  pdl_trigger();
  const AtHand at_hand(routed.leaves);
  pdl_wait();
  const int top_k = routed.top_k, n_pairs = routed.n_tokens * top_k;
  const int i = static_cast<int>(threadIdx.x), token = i / top_k;
  float weight = 0;
  if (i < n_pairs) {
    expert_of[i] = routed.experts[i] - at_hand.first;
    weight = routed.weights[i];
  }
  __syncthreads();
  const int mine = i < n_pairs ? expert_of[i] : -1;
  int before = 0, same = 0, place = 0;
  for (int j = 0; j < n_pairs; ++j) {
    const int its = expert_of[j];
    before += at_hand.has(its) && its < mine ? 1 : 0;
    same += its == mine && j < i ? 1 : 0;
    place += its < mine && j / top_k == token ? 1 : 0;
  }
  if (i < n_pairs) {
    is_first[i] = same == 0;
    const int to = token * top_k + place;
    lists.leaf_of[to] = at_hand.leaf(routed.leaves, mine);
    lists.weights[to] = weight;
    if (at_hand.has(mine)) {
      lists.tokens[before + same] = token;
      lists.pair_of[to] = before + same;
    }
  }
  __syncthreads();
  for (int e = i; e <= at_hand.n; e += kSomePairs) {
    int pairs = 0, active = 0, its = 0;
    for (int j = 0; j < n_pairs; ++j) {
      const int other = expert_of[j];
      const bool below = at_hand.has(other) && other < e;
      pairs += below ? 1 : 0;
      active += below && is_first[j] ? 1 : 0;
      its += other == e ? 1 : 0;
    }
    lists.offsets[e] = pairs;
    if (e == at_hand.n) {
      lists.active[0] = active;
    } else if (its > 0) {
      lists.active[1 + active] = e;
    }
  }
}

// The rows of all pairs, in their order: a block for each, 16 bytes at a time.
__global__ void __launch_bounds__(128) gather_kernel(
    uint8_t* out, const uint8_t* x, PairLists lists, int n_experts, int64_t stride, int n_bytes) {
  pdl_trigger();
  pdl_wait();
  const int pair = blockIdx.x;
  if (pair >= lists.offsets[n_experts]) return;
  const uint8_t* const from = x + lists.tokens[pair] * stride;
  uint8_t* const to = out + static_cast<int64_t>(pair) * n_bytes;
  for (int i = threadIdx.x * 16; i < n_bytes; i += 128 * 16)
    *reinterpret_cast<uint4*>(to + i) = *reinterpret_cast<const uint4*>(from + i);
}

constexpr int kSumOutputs = 128;  // of a block
// Experts of a token whose outputs are read all at once.
constexpr int kTogether = 8;
__global__ void __launch_bounds__(kSumOutputs) sum_kernel(float* x,
                                                          bool add,
                                                          const float* y,
                                                          PairLists lists,
                                                          const __grid_constant__ Routed routed,
                                                          int n) {
  __shared__ int leaf_of[kMaxExperts], pair_of[kMaxExperts];
  __shared__ float weights[kMaxExperts];
  pdl_trigger();
  ExpertSum sum(routed.leaves);
  pdl_wait();
  const int token = blockIdx.x, top_k = routed.top_k;
  const int i = static_cast<int>(blockIdx.y * kSumOutputs + threadIdx.x);
  // An expert that is not at hand has a weight that nobody uses, and a pair that exists.
  for (int k = threadIdx.x; k < top_k; k += kSumOutputs) {
    leaf_of[k] = lists.leaf_of[token * top_k + k];
    pair_of[k] = leaf_of[k] < 0 ? 0 : lists.pair_of[token * top_k + k];
    weights[k] = lists.weights[token * top_k + k];
  }
  __syncthreads();
  if (i >= n) return;
  float& to = x[static_cast<int64_t>(token) * n + i];
  const float before = add ? to : 0;
  for (int first = 0; first < top_k; first += kTogether) {
    float ys[kTogether];
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
      if (first + k < top_k) ys[k] = y[static_cast<int64_t>(pair_of[first + k]) * n + i];
    }
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
      if (first + k < top_k) sum.add(ys[k], weights[first + k], leaf_of[first + k]);
    }
  }
  to = add ? before + sum.total() : sum.total();
}

}  // namespace

void route_top_k(float* weights,
                 int32_t* experts,
                 const float* logits,
                 int n_tokens,
                 int n_experts,
                 int top_k,
                 bool renormalise,
                 Stream stream) {
  const auto with = [&](auto* kernel) {
    launch(kernel,
           dim3(static_cast<unsigned>(n_tokens)),
           32,
           0,
           stream,
           weights,
           experts,
           logits,
           n_experts,
           top_k,
           renormalise);
  };
  if (n_experts <= 128) return with(&route_kernel<4>);
  if (n_experts <= 512) return with(&route_kernel<16>);
  with(&route_kernel<kMaxExperts / 32>);
}

void sort_pairs(const PairLists& lists, const Routed& routed, Stream stream) {
  if (routed.n_tokens * routed.top_k <= kSomePairs) {
    launch(sort_some_kernel, dim3(1), kSomePairs, 0, stream, lists, routed);
  } else {
    launch(sort_kernel, dim3(1), 1024, 0, stream, lists, routed);
  }
}

void gather_pairs(void* out,
                  const Rows& x,
                  const PairLists& lists,
                  int n_experts,
                  int n_pairs,
                  int n,
                  Stream stream) {
  launch(gather_kernel,
         dim3(static_cast<unsigned>(n_pairs)),
         128,
         0,
         stream,
         static_cast<uint8_t*>(out),
         static_cast<const uint8_t*>(x.data),
         lists,
         n_experts,
         x.stride * 2,
         n * 2);
}

void sum_experts(float* x,
                 bool add,
                 const float* y,
                 const PairLists& lists,
                 const Routed& routed,
                 int n,
                 Stream stream) {
  launch(sum_kernel,
         dim3(static_cast<unsigned>(routed.n_tokens),
              static_cast<unsigned>((n + kSumOutputs - 1) / kSumOutputs)),
         kSumOutputs,
         0,
         stream,
         x,
         add,
         y,
         lists,
         routed,
         n);
}

}  // namespace qwen3::cuda
