// Request::routed_experts: what events say is what the trace of the same tokens says, to the bit,
// through chunks, preemptions and the prefix cache, and nobody's answer changes. And the words of
// progress that a prompt gives on request.
#include "engine/routed_experts.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/engine_core_fixture.h"
#include "engine/evaluate.h"
#include "qwen3/engine.h"
#include "support/expect_error.h"
#include "support/load_model.h"
#include "trace/routing.h"

namespace qwen3 {
namespace {

const std::filesystem::path kModels = QWEN3_SOURCE_DIR "/tests/data/models";

Request request(int32_t seed, int32_t n_prompt, int64_t n_generated) {
  Request r{.sampling = {.temperature = 1,
                         .seed = seed,
                         .max_tokens = n_generated,
                         .ignore_eos = true,
                         .n_logprobs = 3}};
  for (int32_t i = 0; i < n_prompt; ++i) r.prompt_ids.push_back((i * 5 + seed * 11 + 1) % 60);
  return r;
}

struct Answer {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  std::vector<uint16_t> experts;  // of all events
  std::vector<size_t> n_experts;  // of each event
  Usage usage;
};

Answer read(EventStream& stream) {
  Answer a;
  while (auto event = stream.next()) {
    if (event->token_id >= 0) a.ids.push_back(event->token_id);
    if (event->logprob) a.logprobs.push_back(event->logprob->logprob);
    a.experts.insert(a.experts.end(), event->routed_experts.begin(), event->routed_experts.end());
    a.n_experts.push_back(event->routed_experts.size());
    if (event->finish) {
      EXPECT_EQ(event->error, "");
      a.usage = event->usage;
    }
  }
  return a;
}

// [tokens, layers, k] of every token but the last, by the trace.
std::vector<uint16_t> traced(Model& model, std::vector<int32_t> ids) {
  ids.pop_back();
  RoutingRecorder recorder;
  evaluate(model, ids, {.tap = &recorder}, [](int64_t, const Tensor&) {});
  std::vector<uint16_t> rows;
  for (size_t token = 0; token < ids.size(); ++token) {
    for (const LayerRouting& layer : recorder.layers()) {
      const auto k = static_cast<size_t>(layer.top_k);
      for (size_t i = token * k; i < (token + 1) * k; ++i) {
        rows.push_back(static_cast<uint16_t>(layer.experts[i]));
      }
    }
  }
  return rows;
}

EngineOptions small_engine(const Model& model) {
  return {.max_model_len = 96,
          .kv_cache_bytes = 8 * 16 * 2 * model.info().kv_bytes_per_token,
          .kv_dtype = "float32",
          .block_size = 16,
          .max_batch_tokens = 24,
          .max_sequences = 8};
}

TEST(RoutedExperts, AreThoseOfTheTrace) {
  int64_t n_preemptions = 0, n_cached = 0;
  for (const char* name : {"moe", "moe_sparse_step", "moe_norm_topk_false"}) {
    for (const char* backend : {"reference", "cpu", "far"}) {
      SCOPED_TRACE(std::string(name) + " on " + backend);
      const auto model = test::load_model(kModels / name, {.backend = backend, .n_threads = 2});
      Engine engine(model, small_engine(*model));
      auto first = engine.submit(request(9, 37, 1));  // leaves a prefix behind
      read(first);
      Request generated = request(9, 37, 30), whole = request(9, 37, 30);
      generated.routed_experts = RoutedExperts::generated;
      whole.routed_experts = RoutedExperts::with_the_prompt;
      auto generated_stream = engine.submit(generated);
      std::vector<EventStream> others;
      for (int i = 0; i < 3; ++i) others.push_back(engine.submit(request(i, 20, 60)));
      auto whole_stream = engine.submit(whole);
      const Answer some = read(generated_stream), all = read(whole_stream);
      for (EventStream& other : others) read(other);
      n_preemptions += engine.stats().n_preemptions;
      n_cached += some.usage.cached_tokens;
      EXPECT_EQ(all.usage.cached_tokens, 0);

      ASSERT_EQ(all.ids.size(), 30u);
      EXPECT_EQ(some.ids, all.ids);
      std::vector<int32_t> ids = whole.prompt_ids;
      ids.insert(ids.end(), all.ids.begin(), all.ids.end());
      const std::vector<uint16_t> expected = traced(*model, ids);
      EXPECT_EQ(all.experts, expected);
      const size_t row = expected.size() / (ids.size() - 1);
      EXPECT_EQ(some.experts,
                std::vector(expected.end() - 30 * static_cast<int64_t>(row), expected.end()));
      for (const size_t n : some.n_experts) EXPECT_EQ(n, row);
      EXPECT_EQ(all.n_experts.front(), 37 * row);
      EXPECT_EQ(all.n_experts.back(), row);
    }
  }
  EXPECT_GT(n_preemptions, 0);
  EXPECT_GT(n_cached, 0);
}

TEST(RoutedExperts, ChangeNoBitAndTakeNoStep) {
  for (const char* backend : {"reference", "cpu", "far"}) {
    const auto model = test::load_model(kModels / "moe", {.backend = backend, .n_threads = 2});
    const auto answers = [&](RoutedExperts wanted) {
      Engine engine(model, {.block_size = 16, .max_batch_tokens = 24, .max_sequences = 8});
      std::vector<EventStream> streams;
      for (int i = 0; i < 6; ++i) {
        Request r = request(i, 30 + i, 20);
        if (i % 2 == 0) r.routed_experts = wanted;
        streams.push_back(engine.submit(std::move(r)));
      }
      std::pair<std::vector<std::vector<int32_t>>, std::vector<std::vector<float>>> all;
      for (EventStream& stream : streams) {
        const Answer answer = read(stream);
        EXPECT_EQ(answer.experts.empty(),
                  wanted == RoutedExperts::none || all.first.size() % 2 == 1);
        all.first.push_back(answer.ids);
        all.second.push_back(answer.logprobs);
      }
      return all;
    };
    const auto plain = answers(RoutedExperts::none);
    EXPECT_EQ(answers(RoutedExperts::generated), plain);
    EXPECT_EQ(answers(RoutedExperts::with_the_prompt), plain);
  }
}

// A request that is traced runs apart; its rows come from there.
TEST(RoutedExperts, OfATracedRequest) {
  const auto model = test::load_model(kModels / "moe", {.backend = "cpu", .n_threads = 2});
  Engine engine(model, small_engine(*model));
  Request r = request(4, 30, 10);
  r.routed_experts = RoutedExperts::with_the_prompt;
  RoutingRecorder recorder;
  r.tap = &recorder;
  auto stream = engine.submit(r);
  const Answer answer = read(stream);
  std::vector<int32_t> ids = r.prompt_ids;
  ids.insert(ids.end(), answer.ids.begin(), answer.ids.end());
  EXPECT_EQ(answer.experts, traced(*model, ids));
}

TEST(RoutedExperts, ADenseModelHasNone) {
  const auto model = test::load_model(kModels / "dense", {.backend = "cpu", .n_threads = 1});
  Engine engine(model, small_engine(*model));
  Request r = request(4, 30, 10);
  r.routed_experts = RoutedExperts::generated;
  EXPECT_ERROR(engine.submit(r), ErrorKind::unsupported, "dense");
}

TEST(PromptProgress, GrowsByChunksAndOnlyOnRequest) {
  Mock mock({.max_batch_tokens = 16});
  Request r;
  r.prompt_ids = prompt(40, 1);
  r.sampling.max_tokens = 3;
  for (const bool asked : {false, true, true}) {
    r.report_progress = asked;
    auto stream = mock.core.submit(r);
    std::vector<int64_t> processed;
    int64_t n_tokens = 0, cached = 0;
    while (auto event = stream.next()) {
      if (event->token_id >= 0) ++n_tokens;
      if (!event->progress) continue;
      EXPECT_EQ(n_tokens, 0) << "progress behind a token";
      EXPECT_EQ(event->token_id, -1);
      EXPECT_EQ(event->progress->total, 40);
      EXPECT_GE(event->progress->seconds, 0);
      cached = event->progress->cached;
      processed.push_back(event->progress->processed);
    }
    EXPECT_EQ(n_tokens, 3);
    if (!asked) {
      EXPECT_TRUE(processed.empty());
    } else {  // two blocks of the first run are in the cache
      EXPECT_EQ(cached, 32);
      EXPECT_EQ(processed, std::vector<int64_t>{40});
    }
  }
  r.prompt_ids = prompt(40, 2);
  auto stream = mock.core.submit(r);
  std::vector<int64_t> processed;
  while (auto event = stream.next()) {
    if (event->progress) processed.push_back(event->progress->processed);
  }
  EXPECT_EQ(processed, (std::vector<int64_t>{16, 32, 40}));
}

}  // namespace
}  // namespace qwen3
