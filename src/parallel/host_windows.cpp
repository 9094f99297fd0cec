#include "parallel/host_windows.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/checked.h"
#include "base/error.h"

namespace qwen3 {
namespace {

// Floats that one thread adds in one go.
constexpr int64_t kPiece = 16 << 10;

}  // namespace

// Offsets in bytes within a rank's part; the last two are rank 0's alone.
struct HostWindows::Layout {
  int64_t node_bytes, logits, plan, bytes_of_rank0, bytes_of_others;
};

HostWindows::Layout HostWindows::layout(const WindowShape& s) {
  Layout l{};
  l.node_bytes = round_up(s.max_tokens * s.hidden_size * 4, 64);
  l.bytes_of_others = int64_t{sizeof(Flag)} + 2 * kMaxNodes * l.node_bytes;
  l.logits = l.bytes_of_others;
  l.plan = l.logits + round_up(s.max_logit_rows * s.vocab_size * 4, 64);
  l.bytes_of_rank0 = l.plan + round_up(s.plan_bytes, 64);
  return l;
}

int64_t HostWindows::bytes(const WindowShape& shape, int n_ranks) {
  const Layout l = layout(shape);
  return l.bytes_of_rank0 + (n_ranks - 1) * l.bytes_of_others;
}

HostWindows::HostWindows(Communicator& communicator, ThreadPool& threads, const WindowShape& shape)
    : StepWindows(communicator),
      threads_(threads),
      shape_(shape),
      shard_(communicator.shard()),
      window_(communicator.allocate_shared(shard_.rank == 0 ? layout(shape).bytes_of_rank0
                                                            : layout(shape).bytes_of_others)) {
  const bool speaks = communicator.local_ranks().front() == shard_.rank;
  for (int rank = 0; rank < shard_.size; ++rank) {
    first_nodes_.push_back({rank, 0});
    if (rank == shard_.rank || (speaks && !communicator.is_here(rank))) {
      new (window_.parts[static_cast<size_t>(rank)]) Flag();
    }
  }
  communicator.all_gather({});  // nobody looks at a flag before it is there
}

float* HostWindows::node_of(int rank, int i) const {
  const int64_t number = parity_ * kMaxNodes + i;
  return reinterpret_cast<float*>(window_.parts[static_cast<size_t>(rank)] + sizeof(Flag) +
                                  number * layout(shape_).node_bytes);
}

Tensor HostWindows::node(int i, int64_t n_tokens) const {
  return {node_of(shard_.rank, i), DType::f32, {n_tokens, shape_.hidden_size}};
}

Tensor HostWindows::logits(int64_t n_rows) const {
  return {window_.parts[0] + layout(shape_).logits, DType::f32, {n_rows, shape_.vocab_size}};
}

std::span<std::byte> HostWindows::plan() const {
  return {window_.parts[0] + layout(shape_).plan, static_cast<size_t>(shape_.plan_bytes)};
}

Flag& HostWindows::flag_of(int rank) const {
  return *reinterpret_cast<Flag*>(window_.parts[static_cast<size_t>(rank)]);
}

void HostWindows::meet(std::span<const SumTree::Input> nodes, int64_t n_floats) {
  flag_of(shard_.rank).raise(++arrived_);
  if (communicator_.hosts().size() > 1) exchange(nodes, n_floats);
  for (const int rank : communicator_.local_ranks()) {
    if (rank != shard_.rank) communicator_.wait(flag_of(rank), arrived_, rank);
  }
  for (const auto& [rank, node] : nodes) {
    if (!communicator_.is_here(rank)) communicator_.wait(flag_of(rank), arrived_, rank);
  }
}

int HostWindows::receiver(const std::vector<int>& host, int rank) const {
  const auto& theirs = communicator_.hosts()[static_cast<size_t>(communicator_.host_of(rank))];
  const auto number = std::find(theirs.begin(), theirs.end(), rank) - theirs.begin();
  return host[static_cast<size_t>(number) % host.size()];
}

void HostWindows::exchange(std::span<const SumTree::Input> nodes, int64_t n_floats) {
  using Tag = Communicator::Tag;
  const auto bytes = [&](int rank, int node) {
    return std::as_writable_bytes(std::span(node_of(rank, node), static_cast<size_t>(n_floats)));
  };
  for (const auto& [rank, node] : nodes) {
    if (rank == shard_.rank) {
      for (const std::vector<int>& host : communicator_.hosts()) {
        if (communicator_.is_here(host.front())) continue;
        const int to = receiver(host, rank);
        transfers_.emplace_back(to, communicator_.send(to, Tag::nodes, bytes(rank, node)));
      }
    } else if (!communicator_.is_here(rank) &&
               receiver(communicator_.local_ranks(), rank) == shard_.rank) {
      transfers_.emplace_back(rank, communicator_.receive(rank, Tag::nodes, bytes(rank, node)));
    }
  }
  for (auto& [rank, transfer] : transfers_) communicator_.wait(transfer, rank);
  transfers_.clear();
  for (const auto& [rank, node] : nodes) {
    if (!communicator_.is_here(rank) &&
        receiver(communicator_.local_ranks(), rank) == shard_.rank) {
      flag_of(rank).raise(arrived_);
    }
  }
}

void HostWindows::gather_logits(int64_t n_rows) {
  using Tag = Communicator::Tag;
  if (communicator_.hosts().size() == 1) return;
  const Tensor rows = logits(n_rows);
  const auto columns = [&](int rank, int64_t row) {
    const Range own = vocabulary_share(shape_.vocab_size, {rank, shard_.size});
    return std::as_writable_bytes(
        std::span(rows.f32_row(row) + own.begin, static_cast<size_t>(own.size())));
  };
  communicator_.place.what = "the logits";
  for (int rank = 1; rank < shard_.size; ++rank) {
    const bool comes = shard_.rank == 0 && !communicator_.is_here(rank);
    const bool goes = shard_.rank == rank && !communicator_.is_here(0);
    for (int64_t row = 0; row < n_rows && (comes || goes); ++row) {
      const auto bytes = columns(rank, row);
      if (bytes.empty()) break;
      const int other = comes ? rank : 0;
      transfers_.emplace_back(other,
                              comes ? communicator_.receive(other, Tag::logits, bytes)
                                    : communicator_.send(other, Tag::logits, bytes));
    }
  }
  for (auto& [rank, transfer] : transfers_) communicator_.wait(transfer, rank);
  transfers_.clear();
}

template <typename Body>
void HostWindows::in_pieces(int64_t begin, int64_t end, const Body& body) {
  threads_.parallel_for(ceil_div(end - begin, kPiece), [&](int64_t piece, int) {
    const int64_t from = begin + piece * kPiece;
    body(from, std::min(kPiece, end - from));
  });
}

std::span<const float* const> HostWindows::inputs_of(const SumTree& tree) {
  inputs_.clear();
  for (const auto& [rank, node] : tree.inputs()) inputs_.push_back(node_of(rank, node));
  return inputs_;
}

void HostWindows::sum(const Tensor& x, SumTree::Into into, const SumTree& tree) {
  const int64_t n = x.numel();
  const std::span<const float* const> inputs = inputs_of(tree);
  const auto add = [&](float* out, int64_t from, int64_t count, SumTree::Into how) {
    const float* moved[kMaxNodes * kLeaves];
    for (size_t i = 0; i < inputs.size(); ++i) moved[i] = inputs[i] + from;
    tree.sum(out, moved, count, how);
  };
  meet(tree.inputs(), n);
  if (n <= kOneShot) {
    in_pieces(0, n, [&](int64_t from, int64_t count) { add(x.f32() + from, from, count, into); });
    parity_ ^= 1;
    return;
  }
  // My slice of those of this host, into my own first node, of which nobody else reads that slice before
  // all are done.
  const std::vector<int>& ranks = communicator_.local_ranks();
  const auto slice = [&](size_t number) {
    const auto i = static_cast<int64_t>(number), count = static_cast<int64_t>(ranks.size());
    return Range{n * i / count, n * (i + 1) / count};
  };
  const Range mine = slice(
      static_cast<size_t>(std::find(ranks.begin(), ranks.end(), shard_.rank) - ranks.begin()));
  float* const sums = node_of(shard_.rank, 0);
  in_pieces(mine.begin, mine.end, [&](int64_t from, int64_t count) {
    add(sums + from, from, count, SumTree::Into::replace);
  });
  meet({}, 0);
  for (size_t number = 0; number < ranks.size(); ++number) {
    const float* const from_rank = node_of(ranks[number], 0);
    const Range theirs = slice(number);
    in_pieces(theirs.begin, theirs.end, [&](int64_t from, int64_t count) {
      float* to = x.f32() + from;
      if (into == SumTree::Into::replace) {
        std::copy_n(from_rank + from, count, to);
      } else {
        for (int64_t i = 0; i < count; ++i) to[i] += from_rank[from + i];
      }
    });
  }
  parity_ ^= 1;
}

void HostWindows::merge_bits(const Tensor& x) {
  const int64_t n = x.numel();
  meet(first_nodes_, n);
  in_pieces(0, n, [&](int64_t from, int64_t count) {
    auto* to = reinterpret_cast<uint32_t*>(x.f32() + from);
    for (int rank = 0; rank < shard_.size; ++rank) {
      const auto* theirs = reinterpret_cast<const uint32_t*>(node_of(rank, 0) + from);
      for (int64_t i = 0; i < count; ++i) to[i] = rank == 0 ? theirs[i] : to[i] | theirs[i];
    }
  });
  parity_ ^= 1;
}

}  // namespace qwen3
