// Leaves: the order of a sum that several processes may share.
//
// The inputs of a layer whose product ends in the residual stream, and the experts of a layer, can be
// spread over processes, which then add up parts of one sum. For one process and several to give the
// same bits, the order of the sum belongs to the weight and to nothing else: not to processes, threads,
// rows or instruction sets. What is summed over is cut into eight leaves of whole units; leaf i has
// units [n·i/8, n·(i+1)/8), maybe none. A leaf is one ascending chain from zero. Above the leaves
// stands a balanced binary tree: a node is left + right in float32, or the other child where one is
// empty. Whoever owns all leaves below a node can add that node up alone.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <span>

namespace qwen3 {

inline constexpr int kLeaves = 8;

// The leaves that a weight has: all, or those below one node of the tree.
struct Leaves {
  int64_t size = 0;  // of the whole sum: inputs, or experts; 0: no leaves, the sum is one chain
  int64_t unit = 1;  // what is never cut
  int begin = 0, end = kLeaves;

  explicit operator bool() const { return size > 0; }
  // Where leaf i begins in the whole sum, and leaf i - 1 ends.
  int64_t bound(int i) const {
    const int64_t n_units = (size + unit - 1) / unit;
    return std::min(size, n_units * i / kLeaves * unit);
  }
  int64_t first() const { return bound(begin); }
  int64_t count() const { return bound(end) - bound(begin); }
  // The part below a node. REQUIRES: end - begin is a power of two, begin a multiple of it.
  Leaves node(int node_begin, int node_end) const { return {size, unit, node_begin, node_end}; }
};

// How a sum is worked through: the chains that are not empty in ascending order, and how many times
// after each the two last sums become one. In the end one is left; four are kept at most.
struct LeafSteps {
  struct Step {
    int64_t begin, end;  // of what the weight has
    int n_merges;
  };
  static constexpr int kMaxSums = 4;

  std::span<const Step> steps() const { return std::span(all).first(static_cast<size_t>(n)); }

  std::array<Step, kLeaves> all{};
  int n = 0;
};

namespace leaves_detail {

// Whether the node has anything in it.
inline bool add_node(LeafSteps& to, const Leaves& leaves, int begin, int end) {
  if (end - begin == 1) {
    const int64_t first = leaves.bound(begin) - leaves.first();
    const int64_t last = leaves.bound(end) - leaves.first();
    if (first < last) to.all[static_cast<size_t>(to.n++)] = {first, last, 0};
    return first < last;
  }
  const int middle = begin + (end - begin) / 2;
  const bool left = add_node(to, leaves, begin, middle);
  const bool right = add_node(to, leaves, middle, end);
  if (left && right) ++to.all[static_cast<size_t>(to.n - 1)].n_merges;
  return left || right;
}

}  // namespace leaves_detail

// `size`: of a sum without leaves. REQUIRES: `leaves` are those below one node.
inline LeafSteps leaf_steps(const Leaves& leaves, int64_t size) {
  LeafSteps steps;
  if (!leaves) {
    steps.all[0] = {0, size, 0};
    steps.n = 1;
    return steps;
  }
  [[maybe_unused]] const int n = leaves.end - leaves.begin;
  assert(n > 0 && n <= kLeaves && (n & (n - 1)) == 0 && leaves.begin % n == 0);
  assert(leaves.count() == size);
  leaves_detail::add_node(steps, leaves, leaves.begin, leaves.end);
  return steps;
}

}  // namespace qwen3
