// Statistics, routing, attention and logit lens, on numbers small enough to check by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "trace/attention_recorder.h"
#include "trace/export_json.h"
#include "trace/logit_lens.h"
#include "trace/routing.h"
#include "trace/statistics.h"

namespace qwen3 {
namespace {

using ::testing::ElementsAre;

TEST(Statistics, AreThoseOfThePopulation) {
  std::vector<float> values{1, 2, 3, -6};
  const TensorStatistics s = statistics_of(Tensor::view(values, {2, 2}));
  EXPECT_EQ(s.n, 4);
  EXPECT_DOUBLE_EQ(s.mean, 0);
  EXPECT_DOUBLE_EQ(s.rms, std::sqrt(50.0 / 4));
  EXPECT_DOUBLE_EQ(s.std, std::sqrt(50.0 / 4));
  EXPECT_EQ(s.min, -6);
  EXPECT_EQ(s.max, 3);
  EXPECT_TRUE(s.all_finite());
}

TEST(Statistics, LargeMeanKeepsSmallDeviation) {
  std::vector<float> values;
  for (int i = 0; i < 1000; ++i) values.push_back(i % 2 == 0 ? 4194304.0f : 4194305.0f);
  EXPECT_DOUBLE_EQ(statistics_of(Tensor::view(values, {1000})).std, 0.5);
}

TEST(Statistics, CountsWhatIsNotFinite) {
  std::vector<float> values{1, NAN, INFINITY, -INFINITY, 3};
  const TensorStatistics s = statistics_of(Tensor::view(values, {5}));
  EXPECT_EQ(s.n_nan, 1);
  EXPECT_EQ(s.n_inf, 2);
  EXPECT_DOUBLE_EQ(s.mean, 2);
  EXPECT_EQ(s.max, 3);
  std::vector<float> bad{NAN};
  EXPECT_EQ(statistics_of(Tensor::view(bad, {1})).max, 0);
}

TEST(Statistics, SkipsTheGapBetweenStridedRows) {
  std::vector<float> wide{1, 2, 100, 3, 4, 100};
  const Tensor whole = Tensor::view(wide, {2, 3});
  StatisticsTap tap;
  tap.tensor("whole", whole);
  EXPECT_EQ(tap.records().front().statistics.max, 100);
  EXPECT_EQ(tap.first_bad(), nullptr);
}

TEST(Statistics, NamesTheFirstBadTensor) {
  std::vector<float> good{1}, bad{NAN};
  StatisticsTap tap;
  tap.tensor("a", Tensor::view(good, {1}));
  tap.tensor("b", Tensor::view(bad, {1}));
  tap.tensor("c", Tensor::view(bad, {1}));
  ASSERT_NE(tap.first_bad(), nullptr);
  EXPECT_EQ(tap.first_bad()->name, "b");
}

// Three tokens, four experts, two chosen each.
LayerRouting example() {
  return {.layer = 5,
          .n_tokens = 3,
          .top_k = 2,
          .n_experts = 4,
          .router_logits = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
          .weights = {.75f, .25f, .5f, .5f, 1, 0},
          .experts = {0, 1, 1, 0, 0, 2}};
}

TEST(Routing, Summary) {
  const RoutingSummary s = summarise(example());
  EXPECT_THAT(s.load, ElementsAre(3, 2, 1, 0));
  EXPECT_THAT(s.weight, ElementsAre(2.25, .75, 0, 0));
  EXPECT_EQ(s.n_idle, 1);
  EXPECT_DOUBLE_EQ(s.imbalance, 2);  // 3 against a mean of 1.5
  EXPECT_NEAR(
      s.load_entropy, (.5 * std::log(2) + std::log(3) / 3 + std::log(6) / 6) / std::log(4), 1e-12);
  EXPECT_NEAR(s.router_entropy, 1, 1e-12);
  // A uniform router: P = 1/4 each, so the losses are top_k and 1 whatever was chosen.
  EXPECT_NEAR(s.aux_loss, 2, 1e-12);
  EXPECT_NEAR(s.educational_aux_loss, 1, 1e-12);
}

TEST(Routing, RecordsLayers) {
  RoutingRecorder recorder;
  std::vector<float> logits{1, 2, 3, 4}, weights{.9f, .1f};
  std::vector<int32_t> experts{1, 0, 0, 1};
  std::vector<float> both{.9f, .1f, .6f, .4f};
  recorder.tensor("layers.2.mlp.router_logits", Tensor::view(logits, {2, 2}));
  recorder.tensor("layers.2.mlp.routing_weights", Tensor::view(both, {2, 2}));
  recorder.tensor("layers.2.mlp.selected_experts", Tensor(experts.data(), DType::i32, {2, 2}));
  recorder.tensor("layers.2.output", Tensor::view(logits, {2, 2}));
  ASSERT_EQ(recorder.layers().size(), 1u);
  const LayerRouting& layer = recorder.layers().front();
  EXPECT_EQ(layer.layer, 2);
  EXPECT_EQ(layer.top_k, 2);
  EXPECT_THAT(layer.experts, ElementsAre(1, 0, 0, 1));
  const Json json = routing_export(recorder.layers());
  EXPECT_EQ(json["layers"][0]["tokens"][1]["experts"], Json({0, 1}));
  EXPECT_NEAR(auxiliary_losses(recorder.layers()).transformers, json["aux_loss"].get<double>(), 0);
}

ModelShape one_head() {
  ModelShape shape;
  shape.num_attention_heads = 1;
  shape.num_key_value_heads = 1;
  shape.head_dim = 1;
  shape.num_hidden_layers = 1;
  shape.layer_sliding_window = {0};
  return shape;
}

// Equal keys: the token attends evenly to what it sees. The same from shown probabilities.
TEST(Attention, ComputedAndShownAgree) {
  const ModelShape shape = one_head();
  std::vector<float> q{1, 1, 1}, k{2, 2, 2}, v{0, 0, 0};
  AttentionRecorder computed(shape, 8);
  computed.tensor("layers.0.self_attn.q_rope", Tensor::view(q, {3, 1, 1}));
  computed.tensor("layers.0.self_attn.k_rope", Tensor::view(k, {3, 1, 1}));
  computed.tensor("layers.0.self_attn.mix", Tensor::view(v, {3, 1}));
  std::vector<float> probs{1, 0, 0, .5f, .5f, 0, 1 / 3.f, 1 / 3.f, 1 / 3.f};
  AttentionRecorder shown(shape, 8);
  shown.tensor("layers.0.self_attn.q_rope", Tensor::view(q, {3, 1, 1}));
  shown.tensor("layers.0.self_attn.k_rope", Tensor::view(k, {3, 1, 1}));
  shown.tensor("layers.0.self_attn.probs", Tensor::view(probs, {1, 3, 3}));
  shown.tensor("layers.0.self_attn.mix", Tensor::view(v, {3, 1}));
  for (const AttentionRecorder* recorder : {&computed, &shown}) {
    ASSERT_EQ(recorder->layers().size(), 1u);
    const LayerAttention layer = recorder->layers()[0];
    const HeadSummary& head = layer.heads.at(0);
    EXPECT_NEAR(head.entropy, (std::log(2) + std::log(3)) / 3, 1e-6);
    EXPECT_NEAR(head.self_share, (1 + .5 + 1 / 3.) / 3, 1e-6);
    EXPECT_NEAR(head.first_share, (1 + .5 + 1 / 3.) / 3, 1e-6);
    EXPECT_NEAR(head.mean_distance, (0 + .5 + 1) / 3, 1e-6);
    ASSERT_EQ(head.top.size(), 3u);
    EXPECT_EQ(head.top[0].position, 0);  // of equals the first
    ASSERT_EQ(layer.map.size(), 9u);
    for (size_t i = 0; i < 9; ++i) EXPECT_NEAR(layer.map[i], probs[i], 1e-6) << i;
  }
}

TEST(Attention, SeesTheSlidingWindowAndDropsLongMaps) {
  ModelShape shape = one_head();
  shape.layer_sliding_window = {2};
  std::vector<float> q{1, 1, 1}, k{9, 2, 2}, v{0, 0, 0};
  AttentionRecorder recorder(shape, 2);
  recorder.tensor("layers.0.self_attn.q_rope", Tensor::view(q, {3, 1, 1}));
  recorder.tensor("layers.0.self_attn.k_rope", Tensor::view(k, {3, 1, 1}));
  recorder.tensor("layers.0.self_attn.mix", Tensor::view(v, {3, 1}));
  const LayerAttention layer = recorder.layers().at(0);
  EXPECT_TRUE(layer.map.empty());
  EXPECT_EQ(layer.heads[0].top[0].position, 1);
  EXPECT_NEAR(layer.heads[0].top[0].share, .5, 1e-6);
  EXPECT_NEAR(layer.heads[0].top[2].share, 0, 1e-12);
}

TEST(LogitLens, KeepsTheMostProbable) {
  std::vector<float> logits{0, 2, 2, 1, 50};
  std::vector<std::vector<float>> seen;
  const LogitLens::Project project = [&](const Tensor& rows) {
    seen.push_back({rows.f32_row(0)[0], static_cast<float>(rows.dim(0))});
    return Tensor::view(logits, {rows.dim(0), 5});
  };
  std::vector<float> x{7, 8, 9};
  LogitLens lens(project, 1, 2, 4);  // id 4 is padding
  lens.tensor("layers.0.mlp.output", Tensor::view(x, {3, 1}));
  lens.tensor("layers.0.output", Tensor::view(x, {3, 1}));
  EXPECT_EQ(seen, (std::vector<std::vector<float>>{{9, 1}}));
  EXPECT_EQ(lens.first_row(), 2);
  ASSERT_EQ(lens.layers().size(), 1u);
  const std::vector<LensToken>& best = lens.layers()[0][0];
  ASSERT_EQ(best.size(), 2u);
  EXPECT_EQ(best[0].id, 1);  // of equals the lower id
  EXPECT_EQ(best[1].id, 2);
  const double e = std::numbers::e;
  EXPECT_NEAR(best[0].probability, e * e / (1 + 2 * e * e + e), 1e-6);
}

}  // namespace
}  // namespace qwen3
