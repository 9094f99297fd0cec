#include "model/losses.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace qwen3 {
namespace {

double log_sum_exp(const float* row, int64_t n) {
  const double top = *std::max_element(row, row + n);
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += std::exp(row[i] - top);
  return top + std::log(total);
}

// Sums over the rows of one layer's router logits.
struct RoutingSums {
  std::vector<double> chosen;       // [n_experts] how often among the top k (lower id wins ties)
  std::vector<double> probability;  // [n_experts] Σ softmax

  explicit RoutingSums(size_t n_experts) : chosen(n_experts), probability(n_experts) {}

  void add(const Tensor& logits, int64_t top_k) {
    std::vector<int32_t> order(chosen.size());
    for (int64_t t = 0; t < logits.dim(0); ++t) {
      const float* row = logits.f32_row(t);
      const double normaliser = log_sum_exp(row, logits.dim(1));
      for (size_t e = 0; e < probability.size(); ++e)
        probability[e] += std::exp(row[e] - normaliser);
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(
          order.begin(), order.begin() + top_k, order.end(), [&](int32_t a, int32_t b) {
            return row[a] != row[b] ? row[a] > row[b] : a < b;
          });
      for (int64_t k = 0; k < top_k; ++k) {
        chosen[static_cast<size_t>(order[static_cast<size_t>(k)])] += 1;
      }
    }
  }

  double product() const {
    return std::inner_product(chosen.begin(), chosen.end(), probability.begin(), 0.0);
  }
};

}  // namespace

double cross_entropy(const Tensor& logits, std::span<const int32_t> labels) {
  double total = 0;
  int64_t n_labels = 0;
  for (size_t i = 0; i + 1 < labels.size(); ++i) {
    const int32_t label = labels[i + 1];
    if (label == -100) continue;
    const float* row = logits.f32_row(static_cast<int64_t>(i));
    total += log_sum_exp(row, logits.dim(1)) - row[label];
    ++n_labels;
  }
  if (n_labels == 0) return std::numeric_limits<double>::quiet_NaN();
  return total / static_cast<double>(n_labels);
}

double load_balancing_loss(RouterLogits layers, int64_t top_k) {
  if (layers.empty()) return 0;
  const int64_t n_experts = layers.front().dim(1);
  RoutingSums sums(static_cast<size_t>(n_experts));
  double n_rows = 0;
  for (const Tensor& layer : layers) {
    sums.add(layer, top_k);
    n_rows += static_cast<double>(layer.dim(0));
  }
  return static_cast<double>(n_experts) * sums.product() / (n_rows * n_rows);
}

double educational_load_balancing_loss(RouterLogits layers, int64_t top_k) {
  if (layers.empty()) return 0;
  double total = 0;
  for (const Tensor& layer : layers) {
    const auto n_experts = static_cast<double>(layer.dim(1)),
               n_rows = static_cast<double>(layer.dim(0));
    RoutingSums sums(static_cast<size_t>(layer.dim(1)));
    sums.add(layer, top_k);
    total += n_experts * sums.product() / (n_rows * static_cast<double>(top_k) * n_rows);
  }
  return total / static_cast<double>(layers.size());
}

}  // namespace qwen3
