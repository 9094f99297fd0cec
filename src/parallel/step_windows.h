// StepWindows: the memory in which the ranks of a group put what they owe each other in a step: a part of
// every sum, rows of the embedding, columns of the logits; and rank 0 its plan.
//
// Between hosts a part goes to each other host once, to one of its ranks, and is laid down there.
//
// Products are computed straight into a window, so nothing is copied in. A sum alternates between two
// sets of windows: when a set is written again, everybody has arrived at the sum between, so everybody
// is through with reading it, and one barrier a sum is enough. Up to kOneShot floats every rank adds up
// all of the vector for itself; longer ones are added in slices, one a rank, which all then read. Bits do
// not depend on which.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "hardware/thread_pool.h"
#include "parallel/communicator.h"
#include "parallel/sum_tree.h"
#include "tensor/tensor.h"

namespace qwen3 {

struct WindowShape {
  int64_t max_tokens = 0, hidden_size = 0, max_logit_rows = 0, vocab_size = 0, plan_bytes = 0;
};

class StepWindows {
 public:
  static constexpr int64_t kOneShot = 64 << 10;

  // Called by all ranks. Borrows both.
  StepWindows(Communicator& communicator, ThreadPool& threads, const WindowShape& shape);

  // Bytes of shared memory that all ranks together take.
  static int64_t bytes(const WindowShape& shape, int n_ranks);

  const Shard& shard() const { return shard_; }
  Communicator& communicator() const { return communicator_; }

  // My node number i of the sum to come: [n_tokens, hidden_size] float32, to be written before it.
  Tensor node(int i, int64_t n_tokens) const;
  // x = or += the tree over all ranks' nodes: the same bits on every rank.
  //   x [n_tokens, hidden_size] float32, dense
  void sum(const Tensor& x, SumTree::Into into, const SumTree& tree);
  // x = bitwise or of all ranks' x.
  void merge_bits(const Tensor& x);
  // Rows of logits in rank 0's memory, or on another host in what is its copy there: [n_rows, vocab_size]
  // float32. Complete on rank 0 when all have called gather_logits and the reports are in.
  Tensor logits(int64_t n_rows) const;
  void gather_logits(int64_t n_rows);
  std::span<std::byte> plan() const;

 private:
  struct Layout;
  static Layout layout(const WindowShape& shape);
  float* node_of(int rank, int i) const;
  Flag& flag_of(int rank) const;
  // Tells that I am here, and waits for all of this host, and for the first n_floats of those nodes.
  void meet(std::span<const SumTree::Input> nodes, int64_t n_floats);
  // Brings nodes of this host to the others, and theirs here.
  void exchange(std::span<const SumTree::Input> nodes, int64_t n_floats);
  // Who of a host takes in what comes from that rank.
  int receiver(const std::vector<int>& host, int rank) const;
  template <typename Body>
  void in_pieces(int64_t begin, int64_t end, const Body& body);
  std::span<const float* const> inputs_of(const SumTree& tree);

  Communicator& communicator_;
  ThreadPool& threads_;
  const WindowShape shape_;
  const Shard shard_;
  SharedWindow window_;
  uint32_t arrived_ = 0;
  int parity_ = 0;
  std::vector<const float*> inputs_;
  std::vector<std::pair<int, Communicator::Transfer>> transfers_;  // under way, and with whom
  std::vector<SumTree::Input> first_nodes_;                        // of all ranks
};

}  // namespace qwen3
