#include "trace/logit_lens.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "trace/tap_name.h"

namespace qwen3 {

std::vector<LensToken> most_probable(const float* logits, int64_t n, int64_t n_best) {
  const auto count = std::min(n, n_best);
  std::vector<int32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::partial_sort(order, order.begin() + count, [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  std::vector<LensToken> best;
  if (count == 0) return best;
  const double top = logits[order.front()];
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += std::exp(logits[i] - top);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t id = order[static_cast<size_t>(i)];
    best.push_back({id, static_cast<float>(std::exp(logits[id] - top) / total)});
  }
  return best;
}

void LogitLens::begin_step(std::span<const int32_t> positions) {
  position_ = positions.empty() ? 0 : positions.front();
}

bool LogitLens::wants(std::string_view name) const {
  const TapName tap = parse_tap_name(name);
  return tap.layer >= 0 && tap.part == "output";
}

void LogitLens::tensor(std::string_view name, const Tensor& value) {
  if (!wants(name)) return;
  const auto index = static_cast<size_t>(parse_tap_name(name).layer);
  if (index >= layers_.size()) layers_.resize(index + 1);
  auto& layer = layers_[index];
  for (int64_t row = std::max<int64_t>(0, value.dim(0) - n_rows_); row < value.dim(0);
       row += kChunkRows) {
    const int64_t n = std::min(kChunkRows, value.dim(0) - row);
    const Tensor logits = project_(value.rows(row, n));
    const int64_t n_real =
        n_real_tokens_ > 0 ? std::min(n_real_tokens_, logits.dim(1)) : logits.dim(1);
    for (int64_t i = 0; i < n; ++i) {
      layer.push_back(most_probable(logits.f32_row(i), n_real, n_best_));
    }
  }
  const auto n_kept = static_cast<int64_t>(layer.size());
  if (n_kept > n_rows_) layer.erase(layer.begin(), layer.begin() + (n_kept - n_rows_));
  first_row_ = position_ + value.dim(0) - static_cast<int64_t>(layer.size());
}

}  // namespace qwen3
