// Mixture of experts without the host: who goes where is decided, sorted and summed on the card.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kMaxExperts = 1024;

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
__global__ void __launch_bounds__(1024) sort_kernel(PairLists lists,
                                                    const float* weights,
                                                    const int32_t* experts,
                                                    ExpertLeaves leaves,
                                                    int n_tokens,
                                                    int top_k) {
  __shared__ int counts[kMaxExperts], offsets[kMaxExperts + 1];
  pdl_trigger();
  pdl_wait();
  const int n_pairs = n_tokens * top_k;
  const int first = leaves.bounds[leaves.begin], n_experts = leaves.bounds[leaves.end] - first;
  const auto at_hand = [&](int e) { return e >= first && e < first + n_experts; };
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int e = threadIdx.x; e < n_experts; e += 1024) counts[e] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < n_pairs; i += 1024) {
    if (at_hand(experts[i])) atomicAdd(&counts[experts[i] - first], 1);
  }
  __syncthreads();
  if (warp == 0) {
    int before = 0, n_active = 0;
    for (int base = 0; base < n_experts; base += 32) {
      const int e = base + lane;
      const int n = e < n_experts ? counts[e] : 0;
      int sum = n;
      for (int d = 1; d < 32; d *= 2) {
        const int other = __shfl_up_sync(kAllLanes, sum, d);
        if (lane >= d) sum += other;
      }
      const unsigned busy = __ballot_sync(kAllLanes, n > 0);
      if (e < n_experts) {
        offsets[e] = before + sum - n;
        lists.offsets[e] = offsets[e];
        if (n > 0) lists.active[1 + n_active + __popc(busy & ((1u << lane) - 1))] = e;
      }
      n_active += __popc(busy);
      before += __shfl_sync(kAllLanes, sum, 31);
    }
    if (lane == 0) {
      lists.offsets[n_experts] = before;
      lists.active[0] = n_active;
    }
  }
  __syncthreads();
  // Each token's experts in ascending order.
  for (int t = threadIdx.x; t < n_tokens; t += 1024) {
    for (int k = 0; k < top_k; ++k) {
      const int e = experts[t * top_k + k];
      int place = 0;
      for (int j = 0; j < top_k; ++j) place += experts[t * top_k + j] < e ? 1 : 0;
      int leaf = leaves.begin;
      while (leaf + 1 < leaves.end && leaves.bounds[leaf + 1] <= e) ++leaf;
      lists.leaf_of[t * top_k + place] = at_hand(e) ? leaf : -1;
      lists.weights[t * top_k + place] = weights[t * top_k + k];
    }
  }
  for (int e = warp; e < n_experts; e += 32) {
    int at = offsets[e];
    if (counts[e] == 0) continue;
    for (int base = 0; base < n_pairs; base += 32) {
      const int i = base + lane;
      const bool mine = i < n_pairs && experts[i] == first + e;
      const unsigned who = __ballot_sync(kAllLanes, mine);
      if (mine) {
        const int pair = at + __popc(who & ((1u << lane) - 1)), token = i / top_k;
        int place = 0;
        for (int j = 0; j < top_k; ++j) place += experts[token * top_k + j] < first + e ? 1 : 0;
        lists.tokens[pair] = token;
        lists.pair_of[token * top_k + place] = pair;
      }
      at += __popc(who);
    }
  }
}

// The same of few pairs: a thread for each pair, and for each expert, that looks at all pairs.
constexpr int kFewPairs = 256;
__global__ void __launch_bounds__(kFewPairs) sort_few_kernel(PairLists lists,
                                                             const float* weights,
                                                             const int32_t* experts,
                                                             ExpertLeaves leaves,
                                                             int n_pairs,
                                                             int top_k) {
  __shared__ int expert_of[kFewPairs];
  __shared__ bool is_first[kFewPairs];  // of its expert's
  pdl_trigger();
  const int first = leaves.bounds[leaves.begin], n_experts = leaves.bounds[leaves.end] - first;
  pdl_wait();
  const int i = static_cast<int>(threadIdx.x), token = i / top_k;
  float weight = 0;
  if (i < n_pairs) {
    expert_of[i] = experts[i] - first;
    weight = weights[i];
  }
  __syncthreads();
  const int mine = i < n_pairs ? expert_of[i] : -1;
  const auto at_hand = [&](int e) { return e >= 0 && e < n_experts; };
  int before = 0, same = 0, place = 0;
  for (int j = 0; j < n_pairs; ++j) {
    const int its = expert_of[j];
    before += at_hand(its) && its < mine ? 1 : 0;
    same += its == mine && j < i ? 1 : 0;
    place += its < mine && j / top_k == token ? 1 : 0;
  }
  if (i < n_pairs) {
    is_first[i] = same == 0;
    int leaf = leaves.begin;
    while (leaf + 1 < leaves.end && leaves.bounds[leaf + 1] <= first + mine) ++leaf;
    const int to = token * top_k + place;
    lists.leaf_of[to] = at_hand(mine) ? leaf : -1;
    lists.weights[to] = weight;
    if (at_hand(mine)) {
      lists.tokens[before + same] = token;
      lists.pair_of[to] = before + same;
    }
  }
  __syncthreads();
  for (int e = i; e <= n_experts; e += kFewPairs) {
    int pairs = 0, active = 0, its = 0;
    for (int j = 0; j < n_pairs; ++j) {
      const int other = expert_of[j];
      const bool below = at_hand(other) && other < e;
      pairs += below ? 1 : 0;
      active += below && is_first[j] ? 1 : 0;
      its += other == e ? 1 : 0;
    }
    lists.offsets[e] = pairs;
    if (e == n_experts) {
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

// The tree over leaves [kBegin, kEnd); `there` says which have experts at all.
template <int kBegin, int kEnd>
__device__ float tree_of(const float (&sums)[8], uint32_t there) {
  if constexpr (kEnd - kBegin == 1) {
    return sums[kBegin];
  } else {
    constexpr int kMiddle = (kBegin + kEnd) / 2;
    constexpr uint32_t kLeft = (1u << kMiddle) - (1u << kBegin),
                       kRight = (1u << kEnd) - (1u << kMiddle);
    const float left = tree_of<kBegin, kMiddle>(sums, there),
                right = tree_of<kMiddle, kEnd>(sums, there);
    return (there & kRight) == 0 ? left : (there & kLeft) == 0 ? right : left + right;
  }
}

constexpr int kSumOutputs = 128;  // of a block
// Experts of a token whose outputs are read all at once.
constexpr int kTogether = 8;
__global__ void __launch_bounds__(kSumOutputs) sum_kernel(
    float* x, bool add, const float* y, PairLists lists, ExpertLeaves leaves, int top_k, int n) {
  __shared__ int leaf_of[kMaxExperts], pair_of[kMaxExperts];
  __shared__ float weights[kMaxExperts];
  pdl_trigger();
  uint32_t there = 0;
#pragma unroll
  for (int leaf = 0; leaf < 8; ++leaf) {
    const bool at_hand = leaf >= leaves.begin && leaf < leaves.end;
    if (at_hand && leaves.bounds[leaf + 1] > leaves.bounds[leaf]) there |= 1u << leaf;
  }
  pdl_wait();
  const int token = blockIdx.x, i = static_cast<int>(blockIdx.y * kSumOutputs + threadIdx.x);
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
  float sums[8] = {};
  for (int first = 0; first < top_k; first += kTogether) {
    float ys[kTogether];
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
      if (first + k < top_k) ys[k] = y[static_cast<int64_t>(pair_of[first + k]) * n + i];
    }
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
      const bool exists = first + k < top_k;
      const int its = exists ? leaf_of[first + k] : -1;
      const float weight = exists ? weights[first + k] : 0;
#pragma unroll
      for (int leaf = 0; leaf < 8; ++leaf) {
        const float more = fmaf(ys[k], weight, sums[leaf]);
        sums[leaf] = leaf == its ? more : sums[leaf];
      }
    }
  }
  const float sum = tree_of<0, 8>(sums, there);
  to = add ? before + sum : sum;
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

void sort_pairs(const PairLists& lists,
                const float* weights,
                const int32_t* experts,
                const ExpertLeaves& leaves,
                int n_tokens,
                int top_k,
                Stream stream) {
  const int n_pairs = n_tokens * top_k;
  if (n_pairs <= kFewPairs) {
    launch(sort_few_kernel,
           dim3(1),
           kFewPairs,
           0,
           stream,
           lists,
           weights,
           experts,
           leaves,
           n_pairs,
           top_k);
  } else {
    launch(sort_kernel, dim3(1), 1024, 0, stream, lists, weights, experts, leaves, n_tokens, top_k);
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
                 const ExpertLeaves& leaves,
                 int n_tokens,
                 int top_k,
                 int n,
                 Stream stream) {
  launch(sum_kernel,
         dim3(static_cast<unsigned>(n_tokens),
              static_cast<unsigned>((n + kSumOutputs - 1) / kSumOutputs)),
         kSumOutputs,
         0,
         stream,
         x,
         add,
         y,
         lists,
         leaves,
         top_k,
         n);
}

}  // namespace qwen3::cuda
