// A pass held against tensors from elsewhere: what is asked for, what agrees, what does not.
#include "trace/compare_tap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace qwen3 {
namespace {

TapNames names_of(const std::vector<std::string>& names) {
  TapNames all;
  for (const std::string& name : names) all.add(name);
  return all;
}

TEST(CompareTap, FirstThatDivergesAndWorstThatAgrees) {
  std::vector<std::string> asked;
  CompareTap compare(
      names_of({"a", "b", "c", "never"}),
      [&](std::string_view name) {
        asked.emplace_back(name);
        return ReferenceTensor{.shape = {1, 2, 2}, .values = {3, 0, 0, 4}};  // of norm 5
      },
      1e-2);
  std::vector<float> same{3, 0, 0, 4}, near{3, 0, 0, 4.04f}, far{3, 1, 0, 4};
  compare.tensor("unknown", Tensor::view(far, {2, 2}));
  compare.tensor("a", Tensor::view(near, {2, 2}));
  compare.tensor("b", Tensor::view(same, {2, 2}));
  EXPECT_TRUE(compare.diverging().empty());
  EXPECT_EQ(compare.worst().name, "a");
  EXPECT_NEAR(compare.worst().relative, 0.04 / 5, 1e-6);
  compare.tensor("c", Tensor::view(far, {2, 2}));
  ASSERT_EQ(compare.diverging().size(), 1u);
  EXPECT_EQ(compare.diverging()[0].name, "c");
  EXPECT_EQ(compare.diverging()[0].at, 1);
  EXPECT_DOUBLE_EQ(compare.diverging()[0].largest, 1);
  EXPECT_EQ(asked, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(compare.n_compared(), 3);
  EXPECT_EQ(compare.n_unused(), 1);
}

TEST(CompareTap, ShapesAndNumbersThatAreNone) {
  CompareTap compare(
      names_of({"a", "b"}),
      [](std::string_view) {
        return ReferenceTensor{.shape = {1, 2}, .values = {1, 2}};
      },
      1e9);
  std::vector<float> long_row{1, 2, 3}, nan{1, std::numeric_limits<float>::quiet_NaN()};
  compare.tensor("a", Tensor::view(long_row, {1, 3}));
  compare.tensor("b", Tensor::view(nan, {1, 2}));
  ASSERT_EQ(compare.diverging().size(), 2u);
  EXPECT_EQ(compare.diverging()[0].shape_problem, "expected [1, 2], got [1, 3]");
  EXPECT_TRUE(std::isnan(compare.diverging()[1].relative));
}

}  // namespace
}  // namespace qwen3
