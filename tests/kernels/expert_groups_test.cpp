#include "kernels/expert_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace qwen3 {
namespace {

using ::testing::ElementsAre;

Routing routing_of(std::vector<float>& weights, std::vector<int32_t>& experts, int64_t top_k) {
  const auto n_tokens = static_cast<int64_t>(experts.size()) / top_k;
  return {Tensor::view(weights, {n_tokens, top_k}),
          Tensor(experts.data(), DType::i32, {n_tokens, top_k})};
}

TEST(ExpertGroups, GroupsByExpertAscendingAndKeepsTokenOrder) {
  std::vector<int32_t> experts = {200, 3, 3, 0, 200, 0};
  std::vector<float> weights = {.1f, .2f, .3f, .4f, .5f, .6f};
  ExpertGroups groups;
  groups.build(routing_of(weights, experts, 2), 0, 256);
  ASSERT_EQ(groups.groups().size(), 3u);
  EXPECT_EQ(groups.groups()[0].expert, 0);
  EXPECT_THAT(groups.groups()[0].rows, ElementsAre(1, 2));
  EXPECT_THAT(groups.groups()[0].weights, ElementsAre(.4f, .6f));
  EXPECT_EQ(groups.groups()[1].expert, 3);
  EXPECT_THAT(groups.groups()[1].rows, ElementsAre(0, 1));
  EXPECT_EQ(groups.groups()[2].expert, 200);
  EXPECT_THAT(groups.groups()[2].rows, ElementsAre(0, 2));
  EXPECT_EQ(groups.position(0, 0), 4);  // token 0's first choice, expert 200, opens the last group
  EXPECT_EQ(groups.position(2, 1), 1);
}

TEST(ExpertGroups, IsReusedAndHoldsEveryPairOnce) {
  std::mt19937 random(1);
  ExpertGroups groups;
  for (const int64_t n_tokens : {0, 1, 7, 300}) {
    const int64_t n_experts = 160, top_k = 8;
    std::vector<int32_t> experts;
    for (int64_t t = 0; t < n_tokens; ++t) {
      const auto first = static_cast<int32_t>(random() % static_cast<uint32_t>(n_experts));
      for (int32_t k = 0; k < top_k; ++k) {
        experts.push_back(static_cast<int32_t>((first + k * 19) % n_experts));
      }
    }
    std::vector<float> weights(experts.size());
    groups.build(routing_of(weights, experts, top_k), 0, n_experts);
    size_t pairs = 0;
    int64_t last = -1;
    for (const auto& group : groups.groups()) {
      EXPECT_GT(group.expert, last);
      last = group.expert;
      EXPECT_EQ(group.begin, static_cast<int64_t>(pairs));
      pairs += group.rows.size();
    }
    EXPECT_EQ(pairs, experts.size());
  }
}

}  // namespace
}  // namespace qwen3
