#include "engine/routed_experts.h"

#include <algorithm>

namespace qwen3 {
namespace {

// One row of the batch: the choice of all its layers.
void append_row(Sequence& s, const Tensor& experts, int64_t row) {
  const int64_t n_layers = experts.dim(0), n_rows = experts.dim(1), top_k = experts.dim(2);
  for (int64_t layer = 0; layer < n_layers; ++layer) {
    const int32_t* chosen = experts.i32() + (layer * n_rows + row) * top_k;
    for (int64_t k = 0; k < top_k; ++k) {
      s.routed_experts.push_back(static_cast<uint16_t>(chosen[k]));
    }
  }
}

}  // namespace

void take_routed_experts(std::span<const Slice> slices, ModelRunner& runner) {
  const auto asks = [](const Slice& slice) {
    const Sequence& s = *slice.sequence;
    return s.wants_experts && slice.begin + slice.count > s.n_routed;
  };
  if (std::ranges::none_of(slices, asks)) return;
  const Tensor experts = runner.experts();
  int64_t row = 0;
  for (const Slice& slice : slices) {
    Sequence& s = *slice.sequence;
    // What is computed again after a preemption was taken before.
    if (asks(slice)) {
      for (; s.n_routed < slice.begin + slice.count; ++s.n_routed) {
        append_row(s, experts, row + s.n_routed - slice.begin);
      }
    }
    row += slice.count;
  }
}

}  // namespace qwen3
