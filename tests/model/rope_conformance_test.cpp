// Rotary angles over the whole context against transformers' float32 frequencies. A frequency that
// is off by its last bit looks right near position 0 and turns pair 1 by 4e-3 at position 40,000.
#include <gtest/gtest.h>

#include <cmath>

#include "base/input_file.h"
#include "base/json.h"
#include "model/rope.h"
#include "support/tensors.h"

namespace qwen3::test {
namespace {

TEST(RopeConformance, AnglesAgreeOverTheWholeContext) {
  const std::string file = QWEN3_SOURCE_DIR "/tests/data/models/rope.json";
  const Json cases = parse_json(read_text_file(file, 1 << 20), file)["cases"];
  ASSERT_EQ(cases.size(), 5u);
  std::vector<int32_t> positions;
  for (int32_t position = 0; position < 40960; position += 13) positions.push_back(position);

  for (const Json& golden : cases) {
    HfConfig config;
    config.head_dim = 128;
    config.rope_theta = golden["rope_theta"].get<double>();
    if (golden["yarn"].get<bool>()) {
      config.rope_scaling.type = RopeScaling::Type::yarn;
      config.rope_scaling.factor = 4;
      config.rope_scaling.original_max_position_embeddings = 32768;
    }
    const Rope rope(config);
    const auto scaling = golden["attention_scaling"].get<double>();
    EXPECT_FLOAT_EQ(rope.attention_scaling(), static_cast<float>(scaling));
    const auto inv_freq = golden["inv_freq"].get<std::vector<float>>();
    std::vector<float> cos(positions.size() * 64), sin(cos.size()), want_cos, want_sin;
    for (size_t i = 0; i < positions.size(); ++i) {
      rope.angles(
          std::span(cos).subspan(i * 64, 64), std::span(sin).subspan(i * 64, 64), positions[i]);
    }
    for (const int32_t position : positions) {
      for (const float inv : inv_freq) {
        const double angle = static_cast<float>(position) * inv;  // a float32 product, as there
        want_cos.push_back(static_cast<float>(std::cos(angle) * scaling));
        want_sin.push_back(static_cast<float>(std::sin(angle) * scaling));
      }
    }
    EXPECT_LE(relative_error(cos, want_cos), 1e-5) << golden["rope_theta"] << golden["yarn"];
    EXPECT_LE(relative_error(sin, want_sin), 1e-5) << golden["rope_theta"] << golden["yarn"];
  }
}

}  // namespace
}  // namespace qwen3::test
