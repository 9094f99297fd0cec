// Losses on cases small enough to work out by hand.
#include "model/losses.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace qwen3 {
namespace {

TEST(CrossEntropy, ShiftsAndIgnores) {
  // Row 0 predicts labels[1] = 1, row 1 would predict labels[2] = -100, row 2 has nothing to
  // predict.
  std::vector<float> values = {0, std::log(3.0f), 9, 9, -50, 50};
  const Tensor logits = Tensor::view(values, {3, 2});
  EXPECT_NEAR(cross_entropy(logits, std::vector<int32_t>{0, 1, -100}), std::log(4.0 / 3.0), 1e-6);
}

TEST(CrossEntropy, IsNanWithoutLabels) {
  std::vector<float> values(4);
  EXPECT_TRUE(
      std::isnan(cross_entropy(Tensor::view(values, {2, 2}), std::vector<int32_t>{1, -100})));
}

TEST(LoadBalancing, BalancedRoutingGivesTopKAndOne) {
  // 4 experts, top 2: two tokens that together use every expert once, with equal probabilities.
  const float a = 1.0f;
  std::vector<float> values = {a, a, 0, 0, 0, 0, a, a};
  const std::vector<Tensor> layers = {Tensor::view(values, {2, 4})};
  EXPECT_NEAR(load_balancing_loss(layers, 2), 2.0, 1e-9);
  EXPECT_NEAR(educational_load_balancing_loss(layers, 2), 1.0, 1e-9);
}

TEST(LoadBalancing, CollapsedRoutingIsExpensive) {
  std::vector<float> values = {100, 0, 0, 0, 100, 0, 0, 0};
  const std::vector<Tensor> layers = {Tensor::view(values, {2, 4})};
  EXPECT_NEAR(load_balancing_loss(layers, 1), 4.0, 1e-9);
  EXPECT_NEAR(educational_load_balancing_loss(layers, 1), 4.0, 1e-9);
}

TEST(LoadBalancing, LayersArePooledByOneDefinitionAndAveragedByTheOther) {
  // Layer A sends all to expert 0, layer B all to expert 1: pooled they balance, averaged they do
  // not.
  std::vector<float> a = {100, 0}, b = {0, 100};
  const std::vector<Tensor> layers = {Tensor::view(a, {1, 2}), Tensor::view(b, {1, 2})};
  EXPECT_NEAR(load_balancing_loss(layers, 1), 1.0, 1e-9);
  EXPECT_NEAR(educational_load_balancing_loss(layers, 1), 2.0, 1e-9);
}

TEST(LoadBalancing, NoSparseLayerCostsNothing) {
  EXPECT_EQ(load_balancing_loss({}, 2), 0.0);
  EXPECT_EQ(educational_load_balancing_loss({}, 2), 0.0);
}

}  // namespace
}  // namespace qwen3
