#include "parallel/sum_tree.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace qwen3 {
namespace {

// Floats that are summed in one go: partial sums stay in the first-level cache.
constexpr int64_t kBlock = 512;
constexpr size_t kDepth = 5;  // results that wait for their right neighbour, at most

}  // namespace

SumTree::SumTree(int n_ranks, const Leaves& leaves) {
  QWEN3_CHECK(leaves && n_ranks >= 1 && n_ranks <= kLeaves,
              ErrorKind::internal,
              "sum over ranks: of {}, by {} ranks",
              leaves.size,
              n_ranks);
  build({0, kLeaves}, n_ranks, leaves);
}

// Whether there is anything below the node.
bool SumTree::build(Range node, int n_ranks, const Leaves& leaves) {
  for (int rank = 0; rank < n_ranks; ++rank) {
    const std::vector<Range> nodes = nodes_of(Shard{rank, n_ranks}.leaves());
    const auto found = std::find(nodes.begin(), nodes.end(), node);
    if (found == nodes.end()) continue;
    if (share(leaves, node).empty()) return false;
    inputs_.push_back({rank, static_cast<int>(found - nodes.begin())});
    steps_.push_back(true);
    return true;
  }
  const int64_t middle = (node.begin + node.end) / 2;
  const bool left = build({node.begin, middle}, n_ranks, leaves);
  const bool right = build({middle, node.end}, n_ranks, leaves);
  if (left && right) steps_.push_back(false);
  return left || right;
}

void SumTree::sum(float* out, const float* const* inputs, int64_t n, Into into) const {
  float partial[kDepth][kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = std::min(kBlock, n - begin);
    std::array<const float*, kDepth + 1> top{};
    size_t depth = 0, next = 0;
    for (const bool takes : steps_) {
      if (takes) {
        top[depth++] = inputs[next++] + begin;
        continue;
      }
      const float* right = top[--depth];
      const float* left = top[depth - 1];
      float* to = partial[depth - 1];
      for (int64_t i = 0; i < count; ++i) to[i] = left[i] + right[i];
      top[depth - 1] = to;
    }
    const float* root = top[0];
    float* to = out + begin;
    if (into == Into::add) {
      for (int64_t i = 0; i < count; ++i) to[i] += root[i];
    } else if (to != root) {
      std::copy_n(root, count, to);
    }
  }
}

}  // namespace qwen3
