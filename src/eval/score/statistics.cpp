#include "eval/score/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/mix64.h"

namespace qwen3::eval {
namespace {

// A stream of random numbers; any seed is good.
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    state_ += kGoldenRatio64;
    return scatter64(state_);
  }

  // From 0 to n - 1. The high half of the product is uneven by less than n / 2^32 for the 32 bits
  // used, far below what resampling could show. REQUIRES: n < 2^32.
  uint64_t below(uint64_t n) { return (next() >> 32) * n >> 32; }

 private:
  uint64_t state_;
};

}  // namespace

double mean(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double standard_error(std::span<const double> values) {
  if (values.size() < 2) return 0;
  const double middle = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - middle) * (value - middle);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / (n - 1) / n);
}

double percentile(std::span<const double> sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto index = static_cast<size_t>(place);
  if (index + 1 >= sorted.size()) return sorted.back();
  const double part = place - static_cast<double>(index);
  return sorted[index] + part * (sorted[index + 1] - sorted[index]);
}

double pass_at_k(int64_t n, int64_t correct, int64_t k) {
  if (n - correct < k) return 1;
  double none = 1;  // C(n - correct, k) / C(n, k), as a product that cannot overflow
  for (int64_t i = n - correct + 1; i <= n; ++i) {
    none *= 1 - static_cast<double>(k) / static_cast<double>(i);
  }
  return 1 - none;
}

Interval bootstrap_mean(std::span<const double> values,
                        double confidence,
                        int64_t resamples,
                        uint64_t seed) {
  if (values.size() < 2) return {mean(values), mean(values)};
  SplitMix64 random(seed);
  std::vector<double> means;
  means.reserve(static_cast<size_t>(resamples));
  for (int64_t i = 0; i < resamples; ++i) {
    double sum = 0;
    for (size_t j = 0; j < values.size(); ++j) sum += values[random.below(values.size())];
    means.push_back(sum / static_cast<double>(values.size()));
  }
  std::sort(means.begin(), means.end());
  const double tail = (1 - confidence) / 2;
  return {percentile(means, tail), percentile(means, 1 - tail)};
}

Interval wilson_all_alike(int64_t n, bool right, double confidence) {
  // The normal quantile z with P(|x| < z) = confidence, by halving.
  double low = 0, high = 40;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (std::erf(middle / std::sqrt(2.0)) < confidence ? low : high) = middle;
  }
  const auto count = static_cast<double>(n);
  const double beyond = low * low / (count + low * low);
  return right ? Interval{1 - beyond, 1} : Interval{0, beyond};
}

}  // namespace qwen3::eval
