// Windows in memory that the processes of a host share.
//
// Between hosts a part goes to each other host once, to one of its ranks, and is laid down there.
//
// A sum alternates between two sets of windows: when a set is written again, everybody has arrived at the
// sum between, so everybody is through with reading it, and one barrier a sum is enough. Up to kOneShot
// floats every rank adds up all of the vector for itself; longer ones are added in slices, one a rank,
// which all then read. Bits do not depend on which.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "parallel/step_windows.h"

namespace qwen3 {

class HostWindows final : public StepWindows {
 public:
  static constexpr int64_t kOneShot = 64 << 10;

  // Called by all ranks. Borrows both.
  HostWindows(Communicator& communicator, ThreadPool& threads, const WindowShape& shape);

  // Bytes of shared memory that all ranks together take.
  static int64_t bytes(const WindowShape& shape, int n_ranks);

  Tensor node(int i, int64_t n_tokens) const override;
  void sum(const Tensor& x, SumTree::Into into, const SumTree& tree) override;
  void merge_bits(const Tensor& x) override;
  Tensor logits(int64_t n_rows) const override;
  void gather_logits(int64_t n_rows) override;
  std::span<std::byte> plan() const override;

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
