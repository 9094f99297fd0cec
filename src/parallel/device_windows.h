// Windows in memory of devices that reach each other, a rank each, all on one host.
//
// A step takes turns between two sets of nodes, from the first one on: when a set is written again, every
// device has arrived at the operation between, so all are through with reading it. What is added is the
// tree of SumTree, by every rank for itself; columns of the logits are written where rank 0 has them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "parallel/step_windows.h"

namespace qwen3 {

class DeviceWindows final : public StepWindows {
 public:
  // Called by all ranks. Borrows the communicator. Throws Error{unsupported} for ranks on several hosts.
  // `peers` has bytes() of this rank's.
  DeviceWindows(Communicator& communicator,
                std::unique_ptr<PeerWindow> peers,
                const WindowShape& shape);

  // Bytes of device memory that this rank takes.
  static int64_t bytes(const WindowShape& shape, const Shard& shard);

  Tensor node(int i, int64_t n_tokens) const override;
  void sum(const Tensor& x, SumTree::Into into, const SumTree& tree) override;
  void merge_bits(const Tensor& x) override;
  Tensor logits(int64_t n_rows) const override;
  void gather_logits(int64_t n_rows) override;
  std::span<std::byte> plan() const override;

 private:
  int64_t offset_of(int i) const;

  const WindowShape shape_;
  const int rank_;
  const std::unique_ptr<PeerWindow> peers_;
  SharedWindow plan_;
  int turn_ = 0;
};

}  // namespace qwen3
