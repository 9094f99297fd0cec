#include "parallel/device_windows.h"

#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "parallel/host_windows.h"

namespace qwen3 {
namespace {

int64_t node_bytes(const WindowShape& s) { return round_up(s.max_tokens * s.hidden_size * 4, 256); }

// Two sets of nodes; behind rank 0's the logits.
int64_t nodes_bytes(const WindowShape& s) { return 2 * kMaxNodes * node_bytes(s); }

}  // namespace

int64_t DeviceWindows::bytes(const WindowShape& s, const Shard& shard) {
  return nodes_bytes(s) + (shard.rank == 0 ? s.max_logit_rows * s.vocab_size * 4 : 0);
}

DeviceWindows::DeviceWindows(Communicator& communicator,
                             std::unique_ptr<PeerWindow> peers,
                             const WindowShape& shape)
    : StepWindows(communicator),
      shape_(shape),
      rank_(communicator.rank()),
      peers_(std::move(peers)) {
  QWEN3_CHECK(communicator.hosts().size() == 1,
              ErrorKind::unsupported,
              "ranks: devices share a model on one host; these run on {}; use backend cpu, or one "
              "host",
              communicator.hosts().size());
  peers_->connect(communicator.all_gather(peers_->address()));
  plan_ = communicator.allocate_shared(rank_ == 0 ? shape.plan_bytes : 0);
}

int64_t DeviceWindows::offset_of(int i) const {
  return (turn_ * kMaxNodes + i) * node_bytes(shape_);
}

Tensor DeviceWindows::node(int i, int64_t n_tokens) const {
  return peers_->part(rank_, offset_of(i), DType::f32, {n_tokens, shape_.hidden_size});
}

void DeviceWindows::sum(const Tensor& x, SumTree::Into into, const SumTree& tree) {
  PeerSum sum;
  for (const auto& [rank, node] : tree.inputs()) sum.inputs.push_back({rank, offset_of(node)});
  sum.steps = tree.steps();
  peers_->sum(
      x, into == SumTree::Into::add ? PeerWindow::Into::add : PeerWindow::Into::replace, sum);
  turn_ ^= 1;
}

void DeviceWindows::merge_bits(const Tensor& x) {
  peers_->merge_bits(x, offset_of(0));
  turn_ ^= 1;
}

Tensor DeviceWindows::logits(int64_t n_rows) const {
  return peers_->part(0, nodes_bytes(shape_), DType::f32, {n_rows, shape_.vocab_size});
}

// All are through with the nodes, too, and the next step begins with the first set.
void DeviceWindows::gather_logits(int64_t) {
  communicator_.place.what = "the logits";
  peers_->meet();
  turn_ = 0;
}

std::span<std::byte> DeviceWindows::plan() const {
  return {plan_.parts[0], static_cast<size_t>(shape_.plan_bytes)};
}

std::unique_ptr<StepWindows> make_step_windows(Communicator& communicator,
                                               ThreadPool& threads,
                                               const MakePeerWindow& make_peers,
                                               const WindowShape& shape) {
  const Shard shard = communicator.shard();
  auto peers = make_peers(DeviceWindows::bytes(shape, shard), shard.rank);
  if (peers == nullptr) return std::make_unique<HostWindows>(communicator, threads, shape);
  return std::make_unique<DeviceWindows>(communicator, std::move(peers), shape);
}

}  // namespace qwen3
