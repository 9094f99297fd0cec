#include "engine/tapped_passes.h"

#include <algorithm>

#include "engine/guarded_tap.h"
#include "engine/routed_experts.h"
#include "kernels/backend.h"

namespace qwen3 {

Tensor TappedPasses::Pass::logits_of_rows() {
  const auto n = static_cast<int64_t>(rows.size());
  return Tensor::view(logits, {n, static_cast<int64_t>(logits.size()) / n});
}

Tensor TappedPasses::Pass::hidden_row() {
  return Tensor::view(hidden, {1, static_cast<int64_t>(hidden.size())});
}

std::span<const Slice> TappedPasses::run(std::span<const Slice> slices,
                                         ModelRunner& runner,
                                         BatchBuilder& builder) {
  passes_.clear();
  const auto is_tapped = [](const Slice& slice) { return slice.sequence->tap != nullptr; };
  if (!kTaps || std::ranges::none_of(slices, is_tapped)) return slices;
  others_.clear();
  for (const Slice& slice : slices) {
    if (is_tapped(slice)) {
      show(slice, runner, builder);
    } else {
      others_.push_back(slice);
    }
  }
  return others_;
}

void TappedPasses::show(const Slice& slice, ModelRunner& runner, BatchBuilder& builder) {
  Sequence& s = *slice.sequence;
  // What is computed again after a preemption was shown before.
  const int64_t n_again = std::clamp<int64_t>(s.n_shown - slice.begin, 0, slice.count);
  if (n_again > 0) run_part({&s, slice.begin, n_again}, nullptr, runner, builder);
  if (n_again == slice.count) return;
  GuardedTap tap(*s.tap);
  Pass& pass = run_part({&s, slice.begin + n_again, slice.count - n_again}, &tap, runner, builder);
  pass.problem = tap.problem();
  s.n_shown = slice.begin + slice.count;
}

TappedPasses::Pass& TappedPasses::run_part(const Slice& part,
                                           Tap* tap,
                                           ModelRunner& runner,
                                           BatchBuilder& builder) {
  const auto copy = [](std::vector<float>& to, const Tensor& from) {
    to.assign(from.f32(), from.f32() + from.numel());
  };
  const Tensor logits = runner.run(builder.build({&part, 1}), tap);
  take_routed_experts({&part, 1}, runner);
  Pass& pass = passes_.emplace_back();
  pass.sequence = part.sequence;
  const auto rows = builder.logit_rows();
  pass.rows.assign(rows.begin(), rows.end());
  if (!rows.empty()) copy(pass.logits, logits);
  if (!builder.hidden_rows().empty()) copy(pass.hidden, runner.hidden());
  return pass;
}

}  // namespace qwen3
