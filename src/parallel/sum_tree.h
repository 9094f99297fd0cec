// SumTree: the sum of all ranks' nodes, added in the order of the balanced tree over eight leaves.
//
// Which additions that makes depends on the leaves and the number of ranks only, so every rank, and every
// slice of a vector, gets the same bits however the numbers were moved.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/shard.h"
#include "tensor/leaves.h"

namespace qwen3 {

class SumTree {
 public:
  // A vector that comes in: node number `node` of rank `rank`.
  struct Input {
    int rank, node;
  };

  SumTree() = default;
  // Of a sum over all of these leaves, spread over `n_ranks`. REQUIRES: they are not all empty.
  SumTree(int n_ranks, const Leaves& leaves);

  // The nodes that have units, in the order of the tree.
  const std::vector<Input>& inputs() const { return inputs_; }
  // How they are added, in reverse Polish notation: true takes the next input, false adds the two latest
  // results.
  const std::vector<bool>& steps() const { return steps_; }

  enum class Into { replace, add };
  // out[i] = or += the tree over inputs[..][i], i in [0, n). inputs: as inputs() lists them. `out` may be
  // one of them.
  void sum(float* out, const float* const* inputs, int64_t n, Into into) const;

 private:
  bool build(Range node, int n_ranks, const Leaves& leaves);

  std::vector<Input> inputs_;
  std::vector<bool> steps_;
};

}  // namespace qwen3
