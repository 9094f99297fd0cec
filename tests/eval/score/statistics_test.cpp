#include "eval/score/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace qwen3::eval {
namespace {

TEST(Statistics, MeanAndItsError) {
  EXPECT_EQ(mean({}), 0);
  EXPECT_EQ(standard_error({}), 0);
  const std::vector<double> one = {1}, four = {0, 1, 1, 1};
  EXPECT_EQ(mean(one), 1);
  EXPECT_EQ(standard_error(one), 0);
  EXPECT_EQ(mean(four), 0.75);
  EXPECT_DOUBLE_EQ(standard_error(four), 0.25);  // variance 1/4 over n = 4
}

// Against the definition: the share of all k-subsets of n samples that hold a right one.
TEST(Statistics, PassAtKCountsSubsets) {
  for (int n = 1; n <= 10; ++n) {
    for (int correct = 0; correct <= n; ++correct) {
      std::vector<int> with(static_cast<size_t>(n) + 1), all(static_cast<size_t>(n) + 1);
      for (unsigned subset = 1; subset < 1U << n; ++subset) {
        const auto k = static_cast<size_t>(__builtin_popcount(subset));
        ++all[k];
        with[k] += (subset & ((1U << correct) - 1)) != 0;
      }
      for (int k = 1; k <= n; ++k) {
        const auto i = static_cast<size_t>(k);
        EXPECT_NEAR(pass_at_k(n, correct, k), double(with[i]) / all[i], 1e-12)
            << n << " " << correct << " " << k;
      }
    }
  }
}

TEST(Statistics, PassAtKOfManySamples) {
  EXPECT_EQ(pass_at_k(1'000'000, 0, 10), 0);
  EXPECT_NEAR(pass_at_k(1'000'000, 500'000, 2), 0.75, 1e-6);
  EXPECT_EQ(pass_at_k(100, 1, 100), 1);
}

TEST(Statistics, BootstrapIsRepeatableAndSeeded) {
  std::vector<double> values;
  for (int i = 0; i < 50; ++i) values.push_back(i % 3 == 0);
  const Interval a = bootstrap_mean(values, 0.95, 2000, 1);
  const Interval b = bootstrap_mean(values, 0.95, 2000, 1);
  const Interval c = bootstrap_mean(values, 0.95, 200, 2);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_TRUE(a.low != c.low || a.high != c.high);
  EXPECT_LT(a.low, mean(values));
  EXPECT_GT(a.high, mean(values));
}

TEST(Statistics, BootstrapComesNearTheNormalInterval) {
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) values.push_back(i % 5 < 2);
  const double wide = 1.96 * standard_error(values);
  const Interval interval = bootstrap_mean(values, 0.95, 10'000, 7);
  EXPECT_NEAR(interval.low, 0.4 - wide, 0.006);
  EXPECT_NEAR(interval.high, 0.4 + wide, 0.006);
  const Interval half = bootstrap_mean(values, 0.5, 10'000, 7);
  EXPECT_NEAR(half.high - half.low, 2 * 0.6745 * standard_error(values), 0.006);
}

// 1.959963984540054 is the normal quantile of 95 %, 2.5758293035489004 that of 99 %.
TEST(Statistics, WilsonOfAllAlike) {
  const double z2 = 1.959963984540054 * 1.959963984540054;
  for (const int n : {1, 4, 400}) {
    EXPECT_NEAR(wilson_all_alike(n, true, 0.95).low, n / (n + z2), 1e-12) << n;
    EXPECT_EQ(wilson_all_alike(n, true, 0.95).high, 1) << n;
    EXPECT_EQ(wilson_all_alike(n, false, 0.95).low, 0) << n;
    EXPECT_NEAR(wilson_all_alike(n, false, 0.95).high, z2 / (n + z2), 1e-12) << n;
  }
  EXPECT_NEAR(wilson_all_alike(4, true, 0.99).low,
              4 / (4 + 2.5758293035489004 * 2.5758293035489004),
              1e-12);
}

TEST(Statistics, BootstrapOfLittle) {
  EXPECT_EQ(bootstrap_mean({}, 0.95, 100, 1).high, 0);
  const std::vector<double> one = {1}, same = {1, 1, 1};
  EXPECT_EQ(bootstrap_mean(one, 0.95, 100, 1).low, 1);
  EXPECT_EQ(bootstrap_mean(same, 0.95, 100, 1).low, 1);
  EXPECT_EQ(bootstrap_mean(same, 0.95, 1, 1).high, 1);
}

}  // namespace
}  // namespace qwen3::eval
