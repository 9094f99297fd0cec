// Quantiles and bars, on values whose answers are known.
#include "eval/score/spread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace qwen3::eval {
namespace {

using ::testing::ElementsAre;

std::vector<Measured> measured(const std::vector<double>& values) {
  std::vector<Measured> list;
  for (const double value : values) list.push_back({value, value < 3});
  return list;
}

TEST(Spread, QuantilesAreNumpys) {
  // numpy.quantile([1, 2, 4, 8, 16], [.5, .9]) is [4, 12.8].
  const std::optional<Spread> spread = spread_of(measured({16, 1, 8, 2, 4}));
  ASSERT_TRUE(spread);
  EXPECT_EQ(spread->n, 5);
  EXPECT_EQ(spread->min, 1);
  EXPECT_EQ(spread->median, 4);
  EXPECT_DOUBLE_EQ(spread->p90, 12.8);
  EXPECT_EQ(spread->max, 16);
  EXPECT_DOUBLE_EQ(spread->mean, 6.2);
  EXPECT_FALSE(spread_of({}));
  EXPECT_FALSE(histogram_of({}));
}

TEST(Spread, EqualStepsWhereValuesAreNear) {
  const std::optional<Histogram> bars = histogram_of(measured({1, 2, 2, 3, 4}));
  ASSERT_TRUE(bars);
  EXPECT_DOUBLE_EQ(bars->edges.front(), 1);
  EXPECT_GE(bars->edges.back(), 4);
  EXPECT_NEAR(bars->edges[1] - bars->edges[0], .2, 1e-15);
  EXPECT_EQ(std::accumulate(bars->right.begin(), bars->right.end(), 0), 3);
  EXPECT_EQ(std::accumulate(bars->other.begin(), bars->other.end(), 0), 2);
}

TEST(Spread, TheSeriesWhereOneIsFarAbove) {
  const std::optional<Histogram> bars = histogram_of(measured({1, 2, 2, 4, 700}));
  ASSERT_TRUE(bars);
  EXPECT_THAT(bars->edges, ElementsAre(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000));
  EXPECT_THAT(bars->right, ElementsAre(1, 2, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(bars->other, ElementsAre(0, 1, 0, 0, 0, 0, 0, 0, 1));
}

// Whatever the values: edges rise, every value is in one bar, and there are not too many.
TEST(Spread, EveryValueIsInOneBar) {
  for (const std::vector<double>& values : std::vector<std::vector<double>>{{0},
                                                                            {0, 0},
                                                                            {5},
                                                                            {0, 1e-9},
                                                                            {1e-9, 1e9},
                                                                            {0, 0, 0, 1e15},
                                                                            {0.1, 0.1, 0.1},
                                                                            {3, 1e300}}) {
    const std::optional<Histogram> bars = histogram_of(measured(values));
    ASSERT_TRUE(bars);
    ASSERT_EQ(bars->edges.size(), bars->right.size() + 1);
    EXPECT_LE(bars->edges.size(), 60u);
    for (size_t i = 1; i < bars->edges.size(); ++i) EXPECT_LT(bars->edges[i - 1], bars->edges[i]);
    EXPECT_LE(bars->edges.front(), *std::ranges::min_element(values));
    EXPECT_GE(bars->edges.back(), *std::ranges::max_element(values));
    int64_t n = 0;
    for (size_t i = 0; i < bars->right.size(); ++i) n += bars->right[i] + bars->other[i];
    EXPECT_EQ(n, static_cast<int64_t>(values.size()));
  }
}

}  // namespace
}  // namespace qwen3::eval
