#include "parallel/step_windows.h"

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
struct StepWindows::Layout {
  int64_t node_bytes, logits, plan, bytes_of_rank0, bytes_of_others;
};

StepWindows::Layout StepWindows::layout(const WindowShape& s) {
  Layout l{};
  l.node_bytes = round_up(s.max_tokens * s.hidden_size * 4, 64);
  l.bytes_of_others = int64_t{sizeof(Flag)} + 2 * kMaxNodes * l.node_bytes;
  l.logits = l.bytes_of_others;
  l.plan = l.logits + round_up(s.max_logit_rows * s.vocab_size * 4, 64);
  l.bytes_of_rank0 = l.plan + round_up(s.plan_bytes, 64);
  return l;
}

int64_t StepWindows::bytes(const WindowShape& shape, int n_ranks) {
  const Layout l = layout(shape);
  return l.bytes_of_rank0 + (n_ranks - 1) * l.bytes_of_others;
}

StepWindows::StepWindows(Communicator& communicator, ThreadPool& threads, const WindowShape& shape)
    : communicator_(communicator),
      threads_(threads),
      shape_(shape),
      shard_(communicator.shard()),
      window_(communicator.allocate_shared(shard_.rank == 0 ? layout(shape).bytes_of_rank0
                                                            : layout(shape).bytes_of_others)) {
  new (window_.parts[static_cast<size_t>(shard_.rank)]) Flag();
  communicator.all_gather({});  // nobody looks at a flag before it is there
}

float* StepWindows::node_of(int rank, int i) const {
  const int64_t number = parity_ * kMaxNodes + i;
  return reinterpret_cast<float*>(window_.parts[static_cast<size_t>(rank)] + sizeof(Flag) +
                                  number * layout(shape_).node_bytes);
}

Tensor StepWindows::node(int i, int64_t n_tokens) const {
  return {node_of(shard_.rank, i), DType::f32, {n_tokens, shape_.hidden_size}};
}

Tensor StepWindows::logits(int64_t n_rows) const {
  return {window_.parts[0] + layout(shape_).logits, DType::f32, {n_rows, shape_.vocab_size}};
}

std::span<std::byte> StepWindows::plan() const {
  return {window_.parts[0] + layout(shape_).plan, static_cast<size_t>(shape_.plan_bytes)};
}

void StepWindows::barrier() {
  const auto flag = [&](int rank) -> Flag& {
    return *reinterpret_cast<Flag*>(window_.parts[static_cast<size_t>(rank)]);
  };
  flag(shard_.rank).raise(++arrived_);
  for (int rank = 0; rank < shard_.size; ++rank) {
    if (rank != shard_.rank) communicator_.wait(flag(rank), arrived_, rank);
  }
}

template <typename Body>
void StepWindows::in_pieces(int64_t begin, int64_t end, const Body& body) {
  threads_.parallel_for(ceil_div(end - begin, kPiece), [&](int64_t piece, int) {
    const int64_t from = begin + piece * kPiece;
    body(from, std::min(kPiece, end - from));
  });
}

std::span<const float* const> StepWindows::inputs_of(const SumTree& tree) {
  inputs_.clear();
  for (const auto& [rank, node] : tree.inputs()) inputs_.push_back(node_of(rank, node));
  return inputs_;
}

void StepWindows::sum(const Tensor& x, SumTree::Into into, const SumTree& tree) {
  const int64_t n = x.numel();
  const std::span<const float* const> inputs = inputs_of(tree);
  const auto add = [&](float* out, int64_t from, int64_t count, SumTree::Into how) {
    const float* moved[kMaxNodes * kLeaves];
    for (size_t i = 0; i < inputs.size(); ++i) moved[i] = inputs[i] + from;
    tree.sum(out, moved, count, how);
  };
  barrier();
  if (n <= kOneShot) {
    in_pieces(0, n, [&](int64_t from, int64_t count) { add(x.f32() + from, from, count, into); });
    parity_ ^= 1;
    return;
  }
  // My slice, into my own first node, of which nobody else reads that slice before all are done.
  const auto slice = [&](int rank) {
    return Range{n * rank / shard_.size, n * (rank + 1) / shard_.size};
  };
  const Range mine = slice(shard_.rank);
  float* const sums = node_of(shard_.rank, 0);
  in_pieces(mine.begin, mine.end, [&](int64_t from, int64_t count) {
    add(sums + from, from, count, SumTree::Into::replace);
  });
  barrier();
  for (int rank = 0; rank < shard_.size; ++rank) {
    const float* const from_rank = node_of(rank, 0);
    const Range theirs = slice(rank);
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

void StepWindows::merge_bits(const Tensor& x) {
  const int64_t n = x.numel();
  in_pieces(0, n, [&](int64_t from, int64_t count) {
    std::copy_n(x.f32() + from, count, node_of(shard_.rank, 0) + from);
  });
  barrier();
  in_pieces(0, n, [&](int64_t from, int64_t count) {
    auto* to = reinterpret_cast<uint32_t*>(x.f32() + from);
    for (int rank = 0; rank < shard_.size; ++rank) {
      if (rank == shard_.rank) continue;
      const auto* theirs = reinterpret_cast<const uint32_t*>(node_of(rank, 0) + from);
      for (int64_t i = 0; i < count; ++i) to[i] |= theirs[i];
    }
  });
  parity_ ^= 1;
}

}  // namespace qwen3
