#include "eval/score/spread.h"

#include <algorithm>
#include <cmath>

#include "eval/score/statistics.h"

namespace qwen3::eval {
namespace {

constexpr double kBars = 20;   // at most about so many equal steps
constexpr double kSkewed = 8;  // the largest value is so many medians: the series 1, 2, 5, …

// The smallest of 1, 2, 5 times a power of ten that is >= value. REQUIRES: value > 0.
double round_up(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= value * (1 - 1e-12)) return factor * power;
  }
  return 10 * power;
}

std::vector<double> equal_edges(double low, double high) {
  const double step = high > low ? round_up((high - low) / kBars) : round_up(std::max(high, 1.0));
  const double first = std::floor(low / step);
  std::vector<double> edges;
  for (double i = first; edges.size() < 2 || edges.back() < high; ++i) edges.push_back(i * step);
  return edges;
}

// From the edge at or below `low` (0 when there is none) to the first above or at `high`.
std::vector<double> series_edges(double low, double high) {
  std::vector<double> edges;
  const double start = std::max(low, high * 1e-6);
  double edge = round_up(start);
  if (edge > low) edges.push_back(0);
  for (edges.push_back(edge); edges.back() < high;) edges.push_back(round_up(edges.back() * 1.5));
  return edges;
}

std::vector<double> sorted_values(std::span<const Measured> values) {
  std::vector<double> sorted(values.size());
  std::ranges::transform(values, sorted.begin(), &Measured::value);
  std::ranges::sort(sorted);
  return sorted;
}

}  // namespace

std::optional<Spread> spread_of(std::span<const Measured> values) {
  if (values.empty()) return std::nullopt;
  const std::vector<double> sorted = sorted_values(values);
  return Spread{.n = static_cast<int64_t>(sorted.size()),
                .min = sorted.front(),
                .median = percentile(sorted, .5),
                .p90 = percentile(sorted, .9),
                .max = sorted.back(),
                .mean = mean(sorted)};
}

std::optional<Histogram> histogram_of(std::span<const Measured> values) {
  const std::optional<Spread> spread = spread_of(values);
  if (!spread) return std::nullopt;
  Histogram histogram;
  histogram.edges = spread->max > kSkewed * spread->median && spread->max > 0
                        ? series_edges(spread->min, spread->max)
                        : equal_edges(spread->min, spread->max);
  const size_t n_bars = histogram.edges.size() - 1;
  histogram.right.resize(n_bars);
  histogram.other.resize(n_bars);
  for (const Measured& one : values) {
    const auto above = std::ranges::upper_bound(histogram.edges, one.value);
    const auto edge = static_cast<size_t>(above - histogram.edges.begin());
    const size_t bar = std::min(std::max<size_t>(edge, 1) - 1, n_bars - 1);
    ++(one.right ? histogram.right : histogram.other)[bar];
  }
  return histogram;
}

}  // namespace qwen3::eval
