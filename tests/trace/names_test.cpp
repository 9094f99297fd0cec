// Tap names, globs over them, and the words for levels.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "support/expect_error.h"
#include "trace/glob.h"
#include "trace/levels.h"
#include "trace/tap_name.h"

namespace qwen3 {
namespace {

TEST(TapName, TakesNamesApart) {
  const TapName q = parse_tap_name("layers.12.self_attn.q_proj");
  EXPECT_EQ(q.layer, 12);
  EXPECT_EQ(q.expert, -1);
  EXPECT_EQ(q.part, "self_attn.q_proj");
  const TapName expert = parse_tap_name("layers.3.mlp.experts.129");
  EXPECT_EQ(expert.layer, 3);
  EXPECT_EQ(expert.expert, 129);
  EXPECT_EQ(expert.part, "mlp.experts");
  EXPECT_EQ(expert.step, "");
  EXPECT_EQ(parse_tap_name("layers.3.mlp.experts.7.act").step, "act");
  EXPECT_EQ(parse_tap_name("norm").layer, -1);
  EXPECT_EQ(parse_tap_name("norm").part, "norm");
  EXPECT_EQ(parse_tap_name("layers.x.output").layer, -1);
  EXPECT_EQ(parse_tap_name("layers.99999999999999999999.output").layer, -1);
}

TEST(TapName, ListsEveryName) {
  ModelShape shape;
  shape.num_hidden_layers = 2;
  shape.num_experts = 3;
  shape.layer_is_sparse = {false, true};
  const std::vector<std::string> names = all_tap_names(shape);
  const auto has = [&](const char* name) { return std::ranges::count(names, name) == 1; };
  EXPECT_TRUE(has("layers.0.mlp.down_proj"));
  EXPECT_FALSE(has("layers.1.mlp.down_proj"));
  EXPECT_TRUE(has("layers.1.mlp.experts.2"));
  EXPECT_TRUE(has("layers.1.mlp.experts.2.act"));
  EXPECT_FALSE(has("layers.0.mlp.experts.2"));
  EXPECT_TRUE(has("logits"));
}

TEST(Glob, Matches) {
  EXPECT_TRUE(glob_match("layers.*.output", "layers.3.output"));
  EXPECT_TRUE(glob_match("layers.*.output", "layers.3.mlp.output"));  // a star crosses dots
  EXPECT_TRUE(glob_match("layers.?.output", "layers.3.output"));
  EXPECT_FALSE(glob_match("layers.?.output", "layers.13.output"));
  EXPECT_FALSE(glob_match("layers.*.output", "layers.3.outputs"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("", ""));
  EXPECT_FALSE(glob_match("", "x"));
  EXPECT_TRUE(glob_match("*a*b", "xaybzab"));
  EXPECT_FALSE(glob_match("*a*b", "xaybza"));
}

TEST(Glob, HostilePatternsStayQuick) {
  const std::string text(5000, 'a');
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "*a";
  EXPECT_FALSE(glob_match(pattern + "b", text));
}

TEST(TraceLevel, ReadsItsWords) {
  for (const char* word : {"input_flow", "FLOW", "Input"}) {
    EXPECT_EQ(parse_trace_level(word, "here"), TraceLevel::input_flow) << word;
  }
  EXPECT_EQ(parse_trace_level("compact", "here"), TraceLevel::compact);
  EXPECT_EQ(parse_trace_level("Verbose", "here"), TraceLevel::verbose);
  EXPECT_ERROR(parse_trace_level("loud", "qwen3 trace: --level"),
               ErrorKind::invalid_argument,
               "--level",
               "input_flow, compact or verbose",
               "loud");
}

}  // namespace
}  // namespace qwen3
