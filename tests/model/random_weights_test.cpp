#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "formats/hf_config.h"
#include "model/weights.h"
#include "model/weights_fixture.h"

namespace qwen3::test {
namespace {

std::vector<std::byte> copy_of(const Weights& weights) {
  return {weights.storage.data(), weights.storage.data() + weights.storage.bytes()};
}

TEST_F(WeightsTest, RandomWeightsDoNotDependOnThreads) {
  const HfConfig config = parse_hf_config(StoredModel{.moe = true, .vocab = 20'011}.config(), "c");
  for (const WeightType type : {WeightType::f32, WeightType::bf16, WeightType::f16}) {
    const auto one = copy_of(random_weights(config, panel_, type, 7, 1));
    EXPECT_EQ(one, copy_of(random_weights(config, panel_, type, 7, 3)));
    EXPECT_NE(one, copy_of(random_weights(config, panel_, type, 8, 1)));
  }
}

TEST_F(WeightsTest, RandomWeightsAreNearlyNormal) {
  const StoredModel model{.moe = true, .tied = true, .bias = true, .vocab = 20'011};
  const HfConfig config = parse_hf_config(model.config(), "c");
  const Weights w = random_weights(config, *reference_, WeightType::f32, 1, 2);
  const Weights b = random_weights(config, *reference_, WeightType::bf16, 1, 2);
  const int64_t n = w.embed_tokens.numel();
  const auto* floats = reinterpret_cast<const float*>(w.embed_tokens.data());
  const auto* rounded = reinterpret_cast<const uint16_t*>(b.embed_tokens.data());
  double sum = 0, squares = 0;
  int64_t beyond_two = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float x = floats[i];
    sum += x;
    squares += double{x} * x;
    beyond_two += std::abs(x) > 0.04f;
    ASSERT_EQ(rounded[i], f32_to_bf16(x)) << i;
  }
  const auto count = static_cast<double>(n);
  EXPECT_NEAR(sum / count, 0, 5 * 0.02 / std::sqrt(count));
  EXPECT_NEAR(std::sqrt(squares / count), 0.02, 0.0002);
  EXPECT_NEAR(static_cast<double>(beyond_two) / count, 0.0455, 0.005);  // of a normal
  EXPECT_EQ(w.norm.f32()[0], 1);
  EXPECT_EQ(w.layers[1].self_attn.k_norm.f32()[kHeadDim - 1], 1);
  EXPECT_EQ(w.layers[0].self_attn.q_proj.bias.f32()[0], 0);
  EXPECT_EQ(w.lm_head.weight.data(), w.embed_tokens.data());
  // Experts, rows and layers are all different draws.
  const auto& experts = std::get<MoeWeights>(w.layers[1].mlp).experts;
  EXPECT_NE(std::memcmp(experts.up_proj.matrix(0).data(), experts.up_proj.matrix(1).data(), 64), 0);
  EXPECT_NE(std::memcmp(experts.up_proj.data(), experts.gate_proj.data(), 64), 0);
  EXPECT_NE(std::memcmp(floats, floats + kHidden, 64), 0);
}

}  // namespace
}  // namespace qwen3::test
