// What kernels of experts share: pairs of a token and an expert, sorted, and the sum over a token's experts.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {

// Which of the experts that a routing names are at hand, counted from the first.
struct AtHand {
  int first, n;

  __device__ explicit AtHand(const ExpertLeaves& leaves)
      : first(leaves.bounds[leaves.begin]), n(leaves.bounds[leaves.end] - first) {}
  __device__ bool has(int expert) const { return expert >= 0 && expert < n; }
  // -1: of none that is at hand.
  __device__ int leaf(const ExpertLeaves& leaves, int expert) const {
    if (!has(expert)) return -1;
    int leaf = leaves.begin;
    while (leaf + 1 < leaves.end && leaves.bounds[leaf + 1] <= first + expert) ++leaf;
    return leaf;
  }
};

// Lists of few pairs (sorts_by_the_way()) in shared memory. Each warp sorts for itself, two pairs a lane, and all of them
// write the same: so a warp goes on without the others.
struct FewPairs {
  static_assert(kFewPairs == 64);
  int32_t active[1 + kFewPairs];
  int32_t offsets[1 + kFewPairs];  // of the experts in `active`, and the end
  int32_t tokens[kFewPairs], pair_of[kFewPairs], leaf_of[kFewPairs];
  float weights[kFewPairs];

  __device__ PairLists sort(const Routed& routed) {
    const AtHand at_hand(routed.leaves);
    const int n_pairs = routed.n_tokens * routed.top_k;
    const int lane = threadIdx.x % 32;
    Mine mine[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      mine[h].exists = lane + 32 * h < n_pairs;
      if (!mine[h].exists) continue;
      mine[h].expert = __ldcg(routed.experts + lane + 32 * h) - at_hand.first;
      mine[h].weight = __ldcg(routed.weights + lane + 32 * h);
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) mine[h].token = (lane + 32 * h) / routed.top_k;
    for (int j = 0, token = 0, in_token = 0; j < n_pairs; ++j) {
      const int its = __shfl_sync(kAllLanes, j < 32 ? mine[0].expert : mine[1].expert, j % 32);
      const bool counts = at_hand.has(its);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        Mine& m = mine[h];
        m.before += counts && its < m.expert ? 1 : 0;
        m.same += its == m.expert ? 1 : 0;
        m.earlier += its == m.expert && j < lane + 32 * h ? 1 : 0;
        m.place += its < m.expert && token == m.token ? 1 : 0;
      }
      if (++in_token == routed.top_k) {
        in_token = 0;
        ++token;
      }
    }
    uint32_t firsts[2];  // pairs that are the first of their experts
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const Mine& m = mine[h];
      firsts[h] = __ballot_sync(kAllLanes, m.exists && m.earlier == 0 && at_hand.has(m.expert));
    }
    int rank[2] = {};
#pragma unroll
    for (int from = 0; from < 2; ++from) {
      for (uint32_t left = firsts[from]; left != 0; left &= left - 1) {
        const int its = __shfl_sync(kAllLanes, mine[from].expert, __ffs(left) - 1);
        rank[0] += its < mine[0].expert ? 1 : 0;
        rank[1] += its < mine[1].expert ? 1 : 0;
      }
    }
    if (lane == 0) active[0] = __popc(firsts[0]) + __popc(firsts[1]);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const Mine& m = mine[h];
      if (!m.exists) continue;
      const int to = m.token * routed.top_k + m.place, pair = m.before + m.earlier;
      leaf_of[to] = at_hand.leaf(routed.leaves, m.expert);
      weights[to] = m.weight;
      if (!at_hand.has(m.expert)) continue;
      tokens[pair] = m.token;
      pair_of[to] = pair;
      if (m.earlier > 0) continue;
      active[1 + rank[h]] = m.expert;
      offsets[rank[h]] = m.before;
      offsets[rank[h] + 1] = m.before + m.same;
    }
    __syncwarp();
    return {offsets, active, tokens, pair_of, leaf_of, weights};
  }

 private:
  // A lane's pair, and how many there are that count for its place.
  struct Mine {
    bool exists = false;
    int expert = -1, token = 0;
    float weight = 0;
    int before = 0, same = 0, earlier = 0, place = 0;
  };
};

// The sum over one token's experts: a chain for each leaf, experts ascending, then the tree over the leaves that have
// experts at all (tensor/leaves.h).
class ExpertSum {
 public:
  __device__ explicit ExpertSum(const ExpertLeaves& leaves) {
#pragma unroll
    for (int leaf = 0; leaf < 8; ++leaf) {
      const bool at_hand = leaf >= leaves.begin && leaf < leaves.end;
      if (at_hand && leaves.bounds[leaf + 1] > leaves.bounds[leaf]) there_ |= 1u << leaf;
    }
  }
  // The next expert's; leaf -1: of nobody at hand.
  __device__ void add(float y, float weight, int leaf) {
#pragma unroll
    for (int l = 0; l < 8; ++l) {
      const float more = fmaf(y, weight, sums_[l]);
      sums_[l] = l == leaf ? more : sums_[l];
    }
  }
  __device__ float total() const { return tree<0, 8>(); }

 private:
  template <int kBegin, int kEnd>
  __device__ float tree() const {
    if constexpr (kEnd - kBegin == 1) {
      return sums_[kBegin];
    } else {
      constexpr int kMiddle = (kBegin + kEnd) / 2;
      constexpr uint32_t kLeft = (1u << kMiddle) - (1u << kBegin),
                         kRight = (1u << kEnd) - (1u << kMiddle);
      const float left = tree<kBegin, kMiddle>(), right = tree<kMiddle, kEnd>();
      return (there_ & kRight) == 0 ? left : (there_ & kLeft) == 0 ? right : left + right;
    }
  }

  float sums_[8] = {};
  uint32_t there_ = 0;
};

// Of one token and output o: `products` [pair, segment, kTile] begin at that output; pairs, leaves (-1: not at hand) and
// weights of the token's experts in ascending order.
__device__ inline float sum_of_products(const LinearPart& part,
                                        int o,
                                        const float* products,
                                        const Routed& routed,
                                        const int32_t* pair_of,
                                        const int32_t* leaf_of,
                                        const float* weights) {
  ExpertSum sum(routed.leaves);
  for (int k = 0; k < routed.top_k; ++k) {
    if (leaf_of[k] < 0) continue;
    const float* const y = products + pair_of[k] * part.n_segments * kTile;
    sum.add(product_of(part, o, sum_segments(y, kTile, part.n_segments)), weights[k], leaf_of[k]);
  }
  return sum.total();
}

}  // namespace qwen3::cuda
