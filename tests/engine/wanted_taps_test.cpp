// What a listener wants decides what is computed for it: tensors that nobody wants are not made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/evaluate.h"
#include "qwen3/engine.h"
#include "support/load_model.h"
#include "trace/glob.h"
#include "trace/levels.h"
#include "trace/logit_lens.h"
#include "trace/routing.h"
#include "trace/tap_list.h"
#include "trace/tap_name.h"

namespace qwen3 {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

const std::filesystem::path kModels = QWEN3_SOURCE_DIR "/tests/data/models";
const std::vector<int32_t> kIds{36, 55, 27, 1, 9};

// A model whose operations are written down, pass by pass.
struct Recorded {
  std::shared_ptr<Model> model;

  Recorded(const std::string& name, const std::string& backend)
      : model(test::load_model(kModels / name, {.backend = backend, .n_threads = 2})) {}
  std::vector<std::string> operations(Tap* tap) {
    SpanLog log;
    evaluate(*model, kIds, {.tap = tap, .operations = &log}, [](int64_t, const Tensor&) {});
    std::vector<std::string> names;
    for (const Span& span : log.spans()) names.emplace_back(span.op);
    return names;
  }
};

class Wants final : public Tap {
 public:
  explicit Wants(std::string_view pattern) : pattern_(pattern) {}
  bool wants(std::string_view name) const override {
    const TapName tap = parse_tap_name(name);
    if (tap.part == kExpertsPart && tap.expert < 0)
      return glob_match(pattern_, std::string(name) + ".0");
    return glob_match(pattern_, name);
  }
  void tensor(std::string_view name, const Tensor&) override { seen.emplace_back(name); }
  std::vector<std::string> seen;

 private:
  std::string pattern_;
};

TEST(WantedTaps, NobodySeesWhatHeDoesNotWant) {
  for (const char* backend : {"reference", "cpu", "far"}) {
    Recorded recorded("moe_sparse_step", backend);
    Wants outputs("layers.*.attn_residual"), experts("layers.1.mlp.experts.*");
    TapList both;
    both.add(outputs);
    both.add(experts);
    recorded.operations(&both);
    EXPECT_THAT(outputs.seen.front(), "layers.0.attn_residual");
    for (const std::string& name : outputs.seen) EXPECT_TRUE(name.ends_with(".attn_residual"));
    ASSERT_FALSE(experts.seen.empty());
    for (const std::string& name : experts.seen) {
      EXPECT_TRUE(name.starts_with("layers.1.mlp.experts.")) << name;
    }
  }
}

// The levels input_flow and compact, the routing and the lens are told from what every pass has:
// the operations are those of a pass that nobody watches.
TEST(WantedTaps, ListenersThatNeedNothingMoreCostNoOperation) {
  for (const char* name : {"moe_sparse_step", "moe", "dense", "dense_after_rope"}) {
    Recorded recorded(name, "cpu");
    const std::vector<std::string> plain = recorded.operations(nullptr);
    EXPECT_THAT(plain, Contains("qk_norm_rope"));
    const ModelShape& shape = recorded.model->shape();
    for (const TraceLevel level : {TraceLevel::input_flow, TraceLevel::compact}) {
      int64_t n_lines = 0;
      LevelTap lines(level, shape, TraceLanguage::english, [&](std::string_view) { ++n_lines; });
      EXPECT_EQ(recorded.operations(&lines), plain) << name;
      EXPECT_GT(n_lines, 3 * shape.num_hidden_layers);
    }
    RoutingRecorder routing;
    EXPECT_EQ(recorded.operations(&routing), plain) << name;
    EXPECT_EQ(routing.layers().empty(), !shape.moe());
    std::vector<float> logits(16 * 8);
    LogitLens lens(
        [&](const Tensor& rows) {
          return Tensor::view(logits, {rows.dim(0), 8});
        },
        100,
        2,
        0);
    EXPECT_EQ(recorded.operations(&lens), plain) << name;
    EXPECT_EQ(lens.layers().size(), static_cast<size_t>(shape.num_hidden_layers));
  }
}

// One wanted intermediate makes its own operation run as its definition, and no other.
TEST(WantedTaps, OneIntermediateUnfoldsItsOperation) {
  Recorded recorded("moe", "cpu");
  Wants norm("layers.0.self_attn.q_norm");
  const std::vector<std::string> names = recorded.operations(&norm);
  EXPECT_THAT(norm.seen, ElementsAre("layers.0.self_attn.q_norm"));
  EXPECT_THAT(names, Contains("rope_rotate_half"));
  EXPECT_THAT(names, Contains("qk_norm_rope"));  // of the other layers
  EXPECT_THAT(names, Not(Contains("scatter_add_rows")));
  Wants product("layers.*.self_attn.o_proj");
  EXPECT_THAT(recorded.operations(&product), Not(Contains("rope_rotate_half")));
  EXPECT_EQ(product.seen.size(), static_cast<size_t>(recorded.model->shape().num_hidden_layers));
  Wants experts("*.mlp.experts.*");
  EXPECT_THAT(recorded.operations(&experts), Contains("scatter_add_rows"));
}

// Who wants the time of one pass, or of one engine, gets it and nobody else's.
TEST(WantedTaps, OperationsAreThoseOfWhoAsked) {
  const std::shared_ptr<Model> model =
      test::load_model(kModels / "moe", {.backend = "cpu", .n_threads = 2});
  const auto nothing = [](int64_t, const Tensor&) {};
  const auto n_embeds = [](const SpanLog& log) {
    return std::ranges::count(log.spans(), std::string_view("embed"), &Span::op);
  };
  SpanLog pass, served;
  {
    Engine timed(model, {.max_model_len = 16, .operations = &served});
    Engine untimed(model, {.max_model_len = 16});
    for (Engine* engine : {&timed, &untimed}) {
      Request request{.prompt_ids = kIds, .sampling = {}};
      request.sampling.max_tokens = 3;
      request.sampling.ignore_eos = true;
      EventStream stream = engine->submit(std::move(request));
      while (stream.next()) continue;
    }
    evaluate(*model, kIds, {}, nothing);
    evaluate(*model, kIds, {.operations = &pass}, nothing);
    evaluate(*model, kIds, {}, nothing);
  }
  EXPECT_EQ(n_embeds(pass), 1);
  EXPECT_EQ(n_embeds(served), 3);  // the prompt, and two of the tokens after it
}

// A listener that throws leaves a backend that listens to nobody.
TEST(WantedTaps, AfterAThrowTheModelRunsAlone) {
  class Throws final : public Tap {
   public:
    void tensor(std::string_view name, const Tensor&) override {
      if (name == "layers.0.self_attn.q_norm") throw std::runtime_error("the disk is full");
    }
  };
  Recorded recorded("moe", "cpu");
  const std::vector<std::string> plain = recorded.operations(nullptr);
  Throws tap;
  EXPECT_THROW(recorded.operations(&tap), std::runtime_error);
  EXPECT_EQ(recorded.operations(nullptr), plain);
}

}  // namespace
}  // namespace qwen3
