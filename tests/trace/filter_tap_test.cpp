// What a filter asks the model for, and what it passes on.
#include "trace/filter_tap.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace qwen3 {
namespace {

const std::vector<std::string> kNames{"embed_tokens",
                                      "layers.0.mlp.down_proj",
                                      "layers.0.output",
                                      "layers.1.mlp.experts.0.act",
                                      "layers.1.mlp.experts.0",
                                      "layers.1.mlp.experts.12.act",
                                      "layers.1.mlp.output",
                                      "layers.1.output"};

class KeepNames final : public Tap {
 public:
  void tensor(std::string_view name, const Tensor&) override { names.emplace_back(name); }
  std::vector<std::string> names;
};

TEST(FilterTap, WantsWhatItsPatternsMatch) {
  KeepNames kept;
  const FilterTap outputs({"layers.*.output"}, kNames, kept);
  EXPECT_TRUE(outputs.wants("layers.1.output"));
  EXPECT_TRUE(outputs.wants("layers.1.mlp.output"));  // a star stands for dots too
  EXPECT_FALSE(outputs.wants("embed_tokens"));
  EXPECT_FALSE(outputs.wants("layers.1.mlp.experts"));  // costs no expert its fused evaluation
  const FilterTap one_expert({"layers.1.mlp.experts.12.*", "embed*"}, kNames, kept);
  EXPECT_TRUE(one_expert.wants("layers.1.mlp.experts"));
  EXPECT_FALSE(one_expert.wants("layers.0.mlp.experts"));
  EXPECT_TRUE(one_expert.wants("layers.1.mlp.experts.12.act"));
  EXPECT_FALSE(one_expert.wants("layers.1.mlp.experts.0.act"));
  EXPECT_TRUE(one_expert.wants("embed_tokens"));
  const FilterTap all({}, kNames, kept);
  EXPECT_TRUE(all.wants("layers.1.mlp.experts"));
  EXPECT_TRUE(all.wants("anything"));
}

TEST(FilterTap, PassesOnNothingElse) {
  KeepNames kept;
  FilterTap outputs({"layers.*.output"}, kNames, kept);
  for (const std::string& name : kNames) outputs.tensor(name, Tensor());
  EXPECT_EQ(
      kept.names,
      (std::vector<std::string>{"layers.0.output", "layers.1.mlp.output", "layers.1.output"}));
}

}  // namespace
}  // namespace qwen3
