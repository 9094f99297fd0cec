// What a number of right and wrong answers says: the mean and how far to trust it, and what more
// samples would have brought. No clocks and no global generator: the same input gives the same
// numbers on every machine.
#pragma once

#include <cstdint>
#include <span>

namespace qwen3::eval {

// The sum from left to right, divided by the count; 0 for nothing. For scores of 0 and 1 the sum
// is exact, so that numpy's mean (which adds in another order) is the same number.
double mean(std::span<const double> values);

// Of the mean: the sample deviation over the root of the count; 0 for fewer than two values.
double standard_error(std::span<const double> values);

// The value below which `share` of the values lie, between two where it falls between two (numpy's
// default, "linear"). REQUIRES: sorted, not empty; 0 <= share <= 1.
double percentile(std::span<const double> sorted, double share);

// The chance that at least one of k samples is right, estimated without bias from `correct` right
// ones among n: 1 - C(n - correct, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374).
// REQUIRES: 0 <= correct <= n, 1 <= k <= n.
double pass_at_k(int64_t n, int64_t correct, int64_t k);

struct Interval {
  double low = 0, high = 0;
};

// The percentile bootstrap of the mean: `resamples` times as many values are drawn with
// replacement; the middle `confidence` of their means is the interval, its ends interpolated
// linearly. The values are what was sampled independently: tasks, not their single samples.
// REQUIRES: 0 < confidence < 1, resamples >= 1. One value or none gives that value twice.
Interval bootstrap_mean(std::span<const double> values,
                        double confidence,
                        int64_t resamples,
                        uint64_t seed);

// Wilson's interval where all of n values are 0, or all 1 (`right`): resampling them would give an
// interval of no width, as if n right answers were certainty. REQUIRES: 0 < confidence < 1, n >= 1.
Interval wilson_all_alike(int64_t n, bool right, double confidence);

}  // namespace qwen3::eval
