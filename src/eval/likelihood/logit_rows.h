// Arithmetic on one row of logits, in double; and how a number that may not exist becomes JSON.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/json.h"

namespace qwen3 {

struct RowMaximum {
  float value;
  int32_t id;  // the lowest of equals
};

inline RowMaximum row_maximum(std::span<const float> row) {
  const auto best = std::max_element(row.begin(), row.end());
  return {*best, static_cast<int32_t>(best - row.begin())};
}

// ln Σ exp(row). Throws Error{corrupt_file} when a model gave no probabilities (a NaN or +infinity
// in the row): its weights are damaged, or overflowed.
inline double log_sum_exp(std::span<const float> row, float maximum, int64_t position) {
  double total = 0;
  for (const float x : row) total += std::exp(static_cast<double>(x) - maximum);
  QWEN3_CHECK(std::isfinite(total),
              ErrorKind::corrupt_file,
              "logits after token {}: expected finite numbers, got NaN or infinity; is the "
              "checkpoint damaged?",
              position);
  return maximum + std::log(total);
}

// Two rows about the same token. KL(P‖Q) in nats; totals are ln Σ exp.
struct RowDivergence {
  double kl, p_total, q_total;
  bool same_top;
};
inline RowDivergence row_divergence(std::span<const float> p,
                                    std::span<const float> q,
                                    int64_t position) {
  const RowMaximum p_top = row_maximum(p), q_top = row_maximum(q);
  const double p_total = log_sum_exp(p, p_top.value, position);
  const double q_total = log_sum_exp(q, q_top.value, position);
  double sum = 0;
  for (size_t v = 0; v < p.size(); ++v) {
    const double share = std::exp(p[v] - p_total);
    if (share > 0) sum += share * (static_cast<double>(p[v]) - q[v]);
  }
  // Rounding may leave a hair below zero.
  return {std::max(0.0, sum - (p_total - q_total)), p_total, q_total, p_top.id == q_top.id};
}

inline Json finite_or_null(std::optional<double> value) {
  return value && std::isfinite(*value) ? Json(*value) : Json();
}

}  // namespace qwen3
