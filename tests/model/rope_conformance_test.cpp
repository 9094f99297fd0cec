// Rotary frequencies against published constants: transformers' float32 values for head_dim 128.
#include <gtest/gtest.h>

#include <map>

#include "model/rope.h"

namespace qwen3::test {
namespace {

HfConfig config_of(double theta) {
  HfConfig config;
  config.head_dim = 128;
  config.rope_theta = theta;
  return config;
}

void expect_inv_freq(const Rope& rope, const std::map<size_t, double>& expected) {
  ASSERT_EQ(rope.inv_freq().size(), 64u);
  for (const auto& [i, value] : expected) {
    EXPECT_NEAR(rope.inv_freq()[i] / value, 1.0, 3e-7) << "inv_freq[" << i << "]";
  }
}

TEST(RopeConformance, FrequenciesOfEveryOfficialTheta) {
  expect_inv_freq(Rope(config_of(1e6)),
                  {{0, 1},
                   {1, .805842221},
                   {2, .649381638},
                   {32, .001},
                   {62, 1.53992653e-6},
                   {63, 1.24093776e-6}});
  expect_inv_freq(Rope(config_of(5e6)),
                  {{0, 1},
                   {1, .785830021},
                   {2, .617528737},
                   {32, 4.47213621e-4},
                   {62, 3.23871546e-7},
                   {63, 2.54507967e-7}});
  expect_inv_freq(Rope(config_of(1e7)),
                  {{0, 1},
                   {1, .777365029},
                   {2, .604296386},
                   {32, 3.16227786e-4},
                   {62, 1.65481708e-7},
                   {63, 1.28639698e-7}});
  EXPECT_EQ(Rope(config_of(1e6)).attention_scaling(), 1.0f);
}

TEST(RopeConformance, YarnByFourFrom32768) {
  HfConfig config = config_of(1e6);
  config.rope_scaling.type = RopeScaling::Type::yarn;
  config.rope_scaling.factor = 4;
  config.rope_scaling.original_max_position_embeddings = 32768;
  const Rope rope(config);
  EXPECT_FLOAT_EQ(rope.attention_scaling(), 1.138629436111989f);
  const Rope plain(config_of(1e6));
  for (size_t i = 0; i <= 23; ++i) EXPECT_EQ(rope.inv_freq()[i], plain.inv_freq()[i]) << i;
  for (size_t i = 40; i < 64; ++i)
    EXPECT_FLOAT_EQ(rope.inv_freq()[i], plain.inv_freq()[i] / 4) << i;
  expect_inv_freq(rope,
                  {{23, .00697830599},
                   {24, .00537532149},
                   {30, .00106436096},
                   {31, 8.02959781e-4},
                   {39, 6.4903943e-5},
                   {40, 4.44569851e-5},
                   {63, 3.10234441e-7}});
}

}  // namespace
}  // namespace qwen3::test
