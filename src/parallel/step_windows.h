// StepWindows: the memory in which the ranks of a group put what they owe each other in a step: a part of
// every sum, rows of the embedding, columns of the logits; and rank 0 its plan. Products are computed
// straight into a window, so nothing is copied in.
//
// Where the backend's memory is the host's, windows are (host_windows.h); on devices they are of the devices
// (device_windows.h), and what is done with them are operations like any other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "hardware/thread_pool.h"
#include "kernels/peer_window.h"
#include "parallel/communicator.h"
#include "parallel/sum_tree.h"
#include "tensor/tensor.h"

namespace qwen3 {

struct WindowShape {
  int64_t max_tokens = 0, hidden_size = 0, max_logit_rows = 0, vocab_size = 0, plan_bytes = 0;
};

class StepWindows {
 public:
  virtual ~StepWindows() = default;

  Shard shard() const { return communicator_.shard(); }
  Communicator& communicator() const { return communicator_; }

  // My node number i of the sum to come: [n_tokens, hidden_size] float32, to be written before it.
  virtual Tensor node(int i, int64_t n_tokens) const = 0;
  // x = or += the tree over all ranks' nodes: the same bits on every rank.
  //   x [n_tokens, hidden_size] float32, dense
  virtual void sum(const Tensor& x, SumTree::Into into, const SumTree& tree) = 0;
  // x = bitwise or of all ranks' first nodes. Begins a step.
  virtual void merge_bits(const Tensor& x) = 0;
  // Rows of logits in rank 0's memory, or on another host in what is its copy there: [n_rows, vocab_size]
  // float32. Complete on rank 0 when all have called gather_logits and the reports are in. Ends a step.
  virtual Tensor logits(int64_t n_rows) const = 0;
  virtual void gather_logits(int64_t n_rows) = 0;
  // Of the host. On ranks other than 0 to be read.
  virtual std::span<std::byte> plan() const = 0;

 protected:
  explicit StepWindows(Communicator& communicator) : communicator_(communicator) {}

  Communicator& communicator_;
};

// Backend::make_peer_window of this rank's.
using MakePeerWindow = std::function<std::unique_ptr<PeerWindow>(int64_t bytes, int rank)>;

// Called by all ranks. Borrows communicator and threads. Throws Error{out_of_memory, unsupported}.
std::unique_ptr<StepWindows> make_step_windows(Communicator& communicator,
                                               ThreadPool& threads,
                                               const MakePeerWindow& make_peers,
                                               const WindowShape& shape);

}  // namespace qwen3
