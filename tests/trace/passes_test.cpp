// Listeners over several passes: a prompt in chunks and tokens one by one leave what a single pass
// over all of them leaves. And what a server keeps of a request.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "trace/attention_recorder.h"
#include "trace/export_json.h"
#include "trace/levels.h"
#include "trace/logit_lens.h"
#include "trace/request_sampler.h"
#include "trace/routing.h"
#include "trace/statistics.h"
#include "trace/summary.h"

namespace qwen3 {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kTokens = 9, kHeads = 4, kKvHeads = 2, kHeadDim = 8, kExperts = 6, kTopK = 2;

// A small model's tensors, made up, of two layers; shown in passes of any sizes.
class FakeRun {
 public:
  FakeRun() {
    std::mt19937 random(5);
    std::normal_distribution<float> normal(0, 1);
    const auto fill = [&](std::vector<float>& values, int64_t n) {
      values.resize(static_cast<size_t>(kTokens * n));
      for (float& value : values) value = normal(random);
    };
    fill(q, kHeads * kHeadDim);
    fill(k, kKvHeads * kHeadDim);
    fill(router, kExperts);
    fill(output, 3);
    for (int64_t i = 0; i < kTokens * kTopK; ++i) {
      experts.push_back(static_cast<int32_t>((i * 5 + i / 3) % kExperts));
      weights.push_back(1.0f / static_cast<float>(1 + i % 4));
    }
  }

  void show(Tap& tap, std::initializer_list<int64_t> passes) {
    int64_t begin = 0;
    for (const int64_t n : passes) {
      std::vector<int32_t> positions(static_cast<size_t>(n));
      std::iota(positions.begin(), positions.end(), static_cast<int32_t>(begin));
      tap.begin_step(positions);
      for (int layer = 0; layer < 2; ++layer) show_layer(tap, layer, begin, n);
      begin += n;
    }
    EXPECT_EQ(begin, kTokens);
  }

  std::vector<float> q, k, router, output, weights;
  std::vector<int32_t> experts;

 private:
  static Tensor rows(std::vector<float>& values, int64_t begin, Shape shape) {
    return Tensor(
        values.data() + begin * (static_cast<int64_t>(values.size()) / kTokens), DType::f32, shape);
  }
  void show_layer(Tap& tap, int layer, int64_t begin, int64_t n) {
    const std::string at = "layers." + std::to_string(layer) + ".";
    tap.tensor(at + "self_attn.q_rope", rows(q, begin, {n, kHeads, kHeadDim}));
    tap.tensor(at + "self_attn.k_rope", rows(k, begin, {n, kKvHeads, kHeadDim}));
    tap.tensor(at + "self_attn.mix", rows(q, begin, {n, kHeads * kHeadDim}));
    tap.tensor(at + "mlp.router_logits", rows(router, begin, {n, kExperts}));
    tap.tensor(at + "mlp.routing_weights", rows(weights, begin, {n, kTopK}));
    tap.tensor(at + "mlp.selected_experts",
               Tensor(experts.data() + begin * kTopK, DType::i32, {n, kTopK}));
    tap.tensor(at + "mlp.experts.3.act", rows(output, begin, {n, 3}));
    tap.tensor(at + "output", rows(output, begin, {n, 3}));
  }
};

ModelShape shape() {
  ModelShape f;
  f.num_hidden_layers = 2;
  f.num_attention_heads = kHeads;
  f.num_key_value_heads = kKvHeads;
  f.head_dim = kHeadDim;
  f.layer_sliding_window = {0, 4};
  f.layer_is_sparse = {true, true};
  f.model_type = ModelType::qwen3_moe;
  return f;
}

TEST(Passes, RoutingIsThatOfOnePass) {
  FakeRun run;
  RoutingRecorder whole, parts;
  run.show(whole, {9});
  run.show(parts, {4, 2, 1, 1, 1});
  EXPECT_EQ(routing_export(parts.layers()), routing_export(whole.layers()));
  EXPECT_EQ(parts.layers().at(1).n_tokens, kTokens);
  EXPECT_EQ(parts.layers().at(1).experts, run.experts);
}

TEST(Passes, StatisticsAreThoseOfOnePass) {
  FakeRun run;
  StatisticsTap whole, parts;
  run.show(whole, {9});
  run.show(parts, {4, 3, 1, 1});
  ASSERT_EQ(parts.records().size(), whole.records().size());
  for (size_t i = 0; i < whole.records().size(); ++i) {
    const TapRecord &a = whole.records()[i], &b = parts.records()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.shape, b.shape);
    EXPECT_EQ(a.sample, b.sample);
    EXPECT_EQ(a.statistics.n, b.statistics.n);
    EXPECT_EQ(a.statistics.min, b.statistics.min);
    EXPECT_EQ(a.statistics.max, b.statistics.max);
    EXPECT_NEAR(a.statistics.mean, b.statistics.mean, 1e-12);
    EXPECT_NEAR(a.statistics.std, b.statistics.std, 1e-12);
    EXPECT_NEAR(a.statistics.rms, b.statistics.rms, 1e-12);
  }
}

// What comes later in the order of names may come first in time.
TEST(Passes, TheFirstBadTensorIsTheFirstInTime) {
  std::vector<float> good{1, 2}, bad{NAN, 2};
  StatisticsTap tap;
  tap.tensor("a", Tensor::view(good, {1, 2}));
  tap.tensor("b", Tensor::view(bad, {1, 2}));
  tap.tensor("a", Tensor::view(bad, {1, 2}));
  ASSERT_NE(tap.first_bad(), nullptr);
  EXPECT_EQ(tap.first_bad()->name, "b");
  EXPECT_EQ(tap.records()[0].statistics.n_nan, 1);
  EXPECT_EQ(tap.records()[0].statistics.n, 4);
  EXPECT_THAT(tap.records()[0].shape, ElementsAre(2, 2));
}

TEST(Passes, StatisticsOfNothingFiniteAreNeutral) {
  std::vector<float> bad{NAN, INFINITY}, good{-3, 5};
  const TensorStatistics none = statistics_of(Tensor::view(bad, {2}));
  const TensorStatistics some = statistics_of(Tensor::view(good, {2}));
  for (const TensorStatistics& s : {merged(none, some), merged(some, none)}) {
    EXPECT_EQ(s.n, 4);
    EXPECT_EQ(s.n_nan, 1);
    EXPECT_EQ(s.n_inf, 1);
    EXPECT_EQ(s.min, -3);
    EXPECT_EQ(s.max, 5);
    EXPECT_DOUBLE_EQ(s.mean, 1);
    EXPECT_DOUBLE_EQ(s.std, 4);
  }
}

void expect_same_attention(const AttentionRecorder& a, const AttentionRecorder& b, bool maps) {
  const std::vector<LayerAttention> all_a = a.layers(), all_b = b.layers();
  ASSERT_EQ(all_a.size(), 2u);
  ASSERT_EQ(all_b.size(), 2u);
  for (size_t layer = 0; layer < 2; ++layer) {
    EXPECT_EQ(all_b[layer].n_tokens, kTokens);
    EXPECT_EQ(all_b[layer].map, all_a[layer].map);
    EXPECT_EQ(all_b[layer].map.empty(), !maps);
    for (size_t head = 0; head < kHeads; ++head) {
      const HeadSummary &x = all_a[layer].heads.at(head), &y = all_b[layer].heads.at(head);
      EXPECT_NEAR(x.entropy, y.entropy, 1e-12);
      EXPECT_NEAR(x.self_share, y.self_share, 1e-12);
      EXPECT_NEAR(x.first_share, y.first_share, 1e-12);
      EXPECT_NEAR(x.mean_distance, y.mean_distance, 1e-12);
      ASSERT_EQ(x.top.size(), y.top.size());
      for (size_t i = 0; i < x.top.size(); ++i) EXPECT_EQ(x.top[i].position, y.top[i].position);
    }
  }
}

TEST(Passes, AttentionIsThatOfOnePass) {
  FakeRun run;
  const ModelShape f = shape();
  for (const int64_t max_map_tokens : {kTokens, kTokens - 1}) {
    AttentionRecorder whole(f, max_map_tokens), parts(f, max_map_tokens);
    run.show(whole, {9});
    run.show(parts, {3, 4, 1, 1});
    expect_same_attention(whole, parts, max_map_tokens == kTokens);
  }
}

// The probabilities of the reference backend: [heads, rows, keys], wider with every pass.
TEST(Passes, ShownProbabilitiesGrow) {
  ModelShape f = shape();
  f.num_attention_heads = 1;
  AttentionRecorder recorder(f, 8);
  std::vector<float> first{1, 0, .5f, .5f}, second{.25f, .25f, .5f};
  recorder.tensor("layers.0.self_attn.probs", Tensor::view(first, {1, 2, 2}));
  recorder.tensor("layers.0.self_attn.probs", Tensor::view(second, {1, 1, 3}));
  const LayerAttention layer = recorder.layers().at(0);
  EXPECT_THAT(layer.map, ElementsAre(1, 0, 0, .5f, .5f, 0, .25f, .25f, .5f));
  EXPECT_NEAR(layer.heads.at(0).self_share, 2.0 / 3, 1e-12);
  EXPECT_EQ(layer.heads.at(0).top.at(0).position, 2);
}

TEST(Passes, TheLensKeepsTheLastTokens) {
  FakeRun run;
  const auto make = [](int64_t n_rows, std::vector<float>& logits) {
    return LogitLens(
        [&logits](const Tensor& rows) {
          logits.assign(rows.f32(), rows.f32() + rows.numel());  // three "logits" a row
          return Tensor::view(logits, {rows.dim(0), rows.dim(1)});
        },
        n_rows,
        2,
        0);
  };
  for (const int64_t n_rows : {int64_t{2}, int64_t{5}, int64_t{100}}) {
    std::vector<float> a, b;
    LogitLens whole = make(n_rows, a), parts = make(n_rows, b);
    run.show(whole, {9});
    run.show(parts, {5, 1, 1, 2});
    EXPECT_EQ(whole.first_row(), std::max<int64_t>(0, kTokens - n_rows));
    EXPECT_EQ(parts.first_row(), whole.first_row());
    ASSERT_EQ(parts.layers().size(), 2u);
    ASSERT_EQ(parts.layers()[1].size(), whole.layers()[1].size());
    for (size_t row = 0; row < whole.layers()[1].size(); ++row) {
      EXPECT_EQ(parts.layers()[1][row][0].id, whole.layers()[1][row][0].id);
      EXPECT_EQ(parts.layers()[1][row][0].probability, whole.layers()[1][row][0].probability);
    }
  }
}

// A decoded token: one row that sees all keys before it.
TEST(Passes, LevelLinesOfADecodedToken) {
  ModelShape f = shape();
  f.model_type = ModelType::qwen3;
  f.layer_is_sparse = {false, false};
  std::string text;
  LevelTap lines(TraceLevel::compact, f, TraceLanguage::english, [&](std::string_view line) {
    text.append(line).push_back('\n');
  });
  const std::vector<int32_t> positions{6};
  std::vector<float> row(32);
  lines.begin_step(positions);
  lines.tensor("layers.0.self_attn.mix", Tensor::view(row, {1, 32}));
  EXPECT_THAT(text, HasSubstr("input_ids(1, 1) position_ids(1, 1) attention_mask(1, 1, 1, 7)\n"));
  EXPECT_THAT(text, HasSubstr("gqa: q(1, 4, 1, 8) k(1, 4, 7, 8) v(1, 4, 7, 8)\n"));
  EXPECT_THAT(text, HasSubstr("scores(1, 4, 1, 7) -> context(1, 4, 1, 8)\n"));
}

TEST(RequestRecorder, SummarisesARequest) {
  FakeRun run;
  RequestRecorder recorder;
  run.show(recorder, {5, 3, 1});
  const Json json = recorder.summary(7);
  EXPECT_EQ(json["tokens"], 9);
  EXPECT_EQ(json["recorded_tokens"], 9);
  EXPECT_EQ(json["prompt_tokens"], 7);
  EXPECT_EQ(json["passes"][1], Json({{"first_token", 5}, {"tokens", 3}}));
  EXPECT_EQ(json["routing"]["layers"][1]["tokens"].size(), 9u);
  EXPECT_EQ(json["routing"]["layers"][1]["tokens"][8]["experts"],
            Json({run.experts[16], run.experts[17]}));
  EXPECT_EQ(json["routing"]["layers"][0]["load"].size(), 6u);
  EXPECT_TRUE(json["routing"]["layers"][0].contains("load_entropy"));
  EXPECT_EQ(json["taps"].size(), 14u);  // two layers of seven, without the insides of experts
  EXPECT_EQ(json["taps"][0]["shape"], Json({9, 4, 8}));
  EXPECT_TRUE(json["first_not_finite"].is_null());
  EXPECT_FALSE(dump_json(json).empty());
}

TEST(RequestRecorder, StopsAtItsLimitAndFiltersTaps) {
  FakeRun run;
  RequestRecorder recorder({.max_tokens = 6, .taps = {"*.act"}});
  run.show(recorder, {5, 3, 1});  // five fit, eight do not, and a gap would be worse than an end
  const Json json = recorder.summary(7);
  EXPECT_EQ(json["tokens"], 9);
  EXPECT_EQ(json["recorded_tokens"], 5);
  EXPECT_EQ(json["passes"].size(), 1u);
  EXPECT_EQ(json["routing"]["layers"][0]["tokens"].size(), 5u);
  ASSERT_EQ(json["taps"].size(), 2u);
  EXPECT_EQ(json["taps"][0]["name"], "layers.0.mlp.experts.3.act");
  RequestRecorder dense;
  EXPECT_TRUE(dense.summary(0)["routing"].is_null());
}

TEST(RequestSampler, TakesAShareTheSameEachTime) {
  const auto taken = [](double rate, uint64_t seed, uint64_t first) {
    const RequestSampler sampler(rate, seed);
    std::vector<uint64_t> numbers;
    for (uint64_t i = first; i < first + 20000; ++i) {
      if (sampler.should_trace(i)) numbers.push_back(i);
    }
    return numbers;
  };
  EXPECT_TRUE(taken(0, 1, 0).empty());
  EXPECT_TRUE(taken(-1, 1, 0).empty());
  EXPECT_TRUE(taken(std::numeric_limits<double>::quiet_NaN(), 1, 0).empty());
  EXPECT_EQ(taken(1, 1, 0).size(), 20000u);
  EXPECT_EQ(taken(2, 1, 0).size(), 20000u);
  for (const uint64_t seed : {0, 1, 2, 77}) {
    EXPECT_NEAR(static_cast<double>(taken(.01, seed, 1).size()), 200, 60);
    EXPECT_NEAR(static_cast<double>(taken(.5, seed, 1u << 30).size()), 10000, 300);
    EXPECT_EQ(taken(.01, seed, 1), taken(.01, seed, 1));
  }
  EXPECT_NE(taken(.01, 1, 1), taken(.01, 2, 1));
}

}  // namespace
}  // namespace qwen3
