#include "kernels/expert_groups.h"

namespace qwen3 {

void ExpertGroups::build(const Routing& routing, int64_t first, int64_t n_experts) {
  const int64_t n_tokens = routing.experts.dim(0);
  top_k_ = routing.experts.dim(1);
  const auto n_pairs = static_cast<size_t>(n_tokens * top_k_);
  const int32_t* experts = routing.experts.i32();
  const float* weights = routing.weights.f32();
  const auto place = [&](size_t i) { return experts[i] - first; };
  const auto is_here = [&](size_t i) { return place(i) >= 0 && place(i) < n_experts; };

  begins_.assign(static_cast<size_t>(n_experts) + 1, 0);  // counting sort, stable in the token
  for (size_t i = 0; i < n_pairs; ++i) {
    if (is_here(i)) ++begins_[static_cast<size_t>(place(i)) + 1];
  }
  for (size_t e = 0; e < static_cast<size_t>(n_experts); ++e) begins_[e + 1] += begins_[e];

  const auto n_here = static_cast<size_t>(begins_.back());
  positions_.resize(n_pairs);
  rows_.resize(n_here);
  weights_.resize(n_here);
  groups_.clear();
  for (size_t e = 0; e < static_cast<size_t>(n_experts); ++e) {
    const auto begin = static_cast<size_t>(begins_[e]);
    const auto size = static_cast<size_t>(begins_[e + 1]) - begin;
    if (size == 0) continue;
    groups_.push_back({first + static_cast<int64_t>(e),
                       static_cast<int64_t>(e),
                       static_cast<int64_t>(begin),
                       std::span<const int32_t>(rows_).subspan(begin, size),
                       std::span<const float>(weights_).subspan(begin, size)});
  }
  std::vector<int64_t>& next = begins_;  // now the place of each expert's next pair
  for (size_t i = 0; i < n_pairs; ++i) {
    positions_[i] = -1;
    if (!is_here(i)) continue;
    const auto position = static_cast<size_t>(next[static_cast<size_t>(place(i))]++);
    positions_[i] = static_cast<int64_t>(position);
    rows_[position] = static_cast<int32_t>(static_cast<int64_t>(i) / top_k_);
    weights_[position] = weights[i];
  }
}

}  // namespace qwen3
