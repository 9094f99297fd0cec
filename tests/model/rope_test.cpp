// RoPE frequencies against values of transformers 4.57's rope utilities.
#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "kernels/reference/reference_backend.h"
#include "support/expect_error.h"

namespace qwen3 {
namespace {

HfConfig config_with(double theta) {
  HfConfig config;
  config.head_dim = 128;
  config.rope_theta = theta;
  return config;
}

void expect_frequencies(const Rope& rope, const std::vector<std::pair<size_t, double>>& expected) {
  for (const auto& [i, value] : expected) {
    EXPECT_NEAR(rope.inv_freq()[i] / value, 1.0, 1e-6) << "pair " << i;
  }
}

TEST(Rope, FrequenciesOfOfficialThetas) {
  expect_frequencies(Rope(config_with(1e6)),
                     {{0, 1},
                      {1, .805842221},
                      {2, .649381638},
                      {32, .001},
                      {62, 1.53992653e-6},
                      {63, 1.24093776e-6}});
  expect_frequencies(
      Rope(config_with(5e6)),
      {{0, 1}, {1, .785830021}, {2, .617528737}, {32, 4.47213621e-4}, {63, 2.54507967e-7}});
  expect_frequencies(
      Rope(config_with(1e7)),
      {{0, 1}, {1, .777365029}, {2, .604296386}, {32, 3.16227786e-4}, {63, 1.28639698e-7}});
}

HfConfig yarn_config() {
  HfConfig config = config_with(1e6);
  config.rope_scaling.type = RopeScaling::Type::yarn;
  config.rope_scaling.factor = 4;
  config.rope_scaling.original_max_position_embeddings = 32768;
  return config;
}

TEST(Rope, Yarn) {
  const Rope rope(yarn_config());
  EXPECT_NEAR(rope.attention_scaling(), 1.138629436111989, 1e-6);
  expect_frequencies(rope,
                     {{23, .00697830599},
                      {24, .00537532149},
                      {30, .00106436096},
                      {31, 8.02959781e-4},
                      {39, 6.4903943e-5},
                      {40, 4.44569851e-5},
                      {63, 3.10234441e-7}});
}

TEST(Rope, YarnMscale) {
  HfConfig config = yarn_config();
  config.rope_scaling.mscale = 1.0;
  config.rope_scaling.mscale_all_dim = 0.5;
  const double expected = (0.1 * std::log(4.0) + 1) / (0.05 * std::log(4.0) + 1);
  EXPECT_NEAR(Rope(config).attention_scaling(), expected, 1e-6);
  config.rope_scaling.attention_factor = 1.25;
  EXPECT_FLOAT_EQ(Rope(config).attention_scaling(), 1.25f);
}

TEST(Rope, LinearScalingDividesEveryFrequency) {
  HfConfig config = config_with(1e6);
  config.rope_scaling.type = RopeScaling::Type::linear;
  config.rope_scaling.factor = 2;
  expect_frequencies(Rope(config), {{0, .5}, {32, .0005}});
  EXPECT_EQ(Rope(config).attention_scaling(), 1.0f);
}

TEST(Rope, AnglesAreOfThePosition) {
  const Rope rope(yarn_config());
  std::vector<float> c(2 * 64), s(2 * 64);
  rope.angles(c, s, 40958);
  const float angle = 40959.0f * rope.inv_freq()[10];
  EXPECT_NEAR(c[64 + 10], std::cos(static_cast<double>(angle)) * rope.attention_scaling(), 2e-7);
  EXPECT_NEAR(s[64 + 10], std::sin(static_cast<double>(angle)) * rope.attention_scaling(), 2e-7);
  rope.angles(std::span(c).first(64), std::span(s).first(64), 0);
  EXPECT_EQ(c[0], rope.attention_scaling());
  EXPECT_EQ(s[0], 0.0f);
}

// Row by row, whatever order the positions come in and however far the table had been filled.
TEST(RopeTable, GathersTheAnglesOfEveryPosition) {
  const HfConfig config = yarn_config();
  const Rope rope(config);
  const auto backend = make_reference_backend();
  RopeTable table(config, *backend, 700);
  for (const std::vector<int32_t>& positions :
       {std::vector<int32_t>{0, 1, 2}, {5, 300, 4}, {699}, {256, 255}}) {
    const auto n = static_cast<int64_t>(positions.size());
    std::vector<float> cos(positions.size() * 64), sin(cos.size()), c(64), s(64);
    table.reach(*backend, positions);
    table.gather(
        *backend, Tensor::view(cos, {n, 64}), Tensor::view(sin, {n, 64}), Tensor::view(positions));
    for (size_t i = 0; i < positions.size(); ++i) {
      rope.angles(c, s, positions[i]);
      EXPECT_EQ(std::vector<float>(cos.begin() + 64 * static_cast<ptrdiff_t>(i),
                                   cos.begin() + 64 * static_cast<ptrdiff_t>(i) + 64),
                c);
      EXPECT_EQ(std::vector<float>(sin.begin() + 64 * static_cast<ptrdiff_t>(i),
                                   sin.begin() + 64 * static_cast<ptrdiff_t>(i) + 64),
                s);
    }
  }
  const std::vector<int32_t> beyond = {700};
  EXPECT_ERROR(table.reach(*backend, beyond), ErrorKind::internal, "position 700 of at most 699");
}

}  // namespace
}  // namespace qwen3
