// Taps on one request of a running engine: what they see is what evaluate() shows, nobody's tokens
// change by a bit, and a tap that fails ends its own request only.
#include "trace/tap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine_core.h"
#include "engine/evaluate.h"
#include "engine/head_projection.h"
#include "engine/mock_model.h"
#include "qwen3/engine.h"
#include "support/load_model.h"
#include "trace/attention_recorder.h"
#include "trace/logit_lens.h"
#include "trace/routing.h"
#include "trace/tap_list.h"

namespace qwen3 {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kModels = QWEN3_SOURCE_DIR "/tests/data/models";

std::shared_ptr<Model> load(const std::string& name, const std::string& backend) {
  return test::load_model(kModels / name, {.backend = backend, .n_threads = 2});
}

// All tensors by name, the rows of all passes one behind the other. Experts' rows come in the order
// of the passes too: those of one expert belong to increasing positions.
class KeepAll final : public Tap {
 public:
  void begin_step(std::span<const int32_t> step) override {
    positions.insert(positions.end(), step.begin(), step.end());
    ++n_steps;
  }
  void tensor(std::string_view name, const Tensor& value) override {
    if (name.ends_with(".probs")) return;  // as wide as the keys, which differ from pass to pass
    const int64_t n_rows = value.dim(0), row_size = n_rows == 0 ? 0 : value.numel() / n_rows;
    std::vector<float>& rows = tensors[std::string(name)];
    for (int64_t row = 0; row < n_rows; ++row) {
      const int64_t begin = row * value.row_stride();
      for (int64_t i = begin; i < begin + row_size; ++i) {
        rows.push_back(value.dtype() == DType::i32 ? static_cast<float>(value.i32()[i])
                                                   : value.f32()[i]);
      }
    }
  }
  std::map<std::string, std::vector<float>> tensors;
  std::vector<int32_t> positions;
  int64_t n_steps = 0;
};

class Throws final : public Tap {
 public:
  explicit Throws(std::string_view at) : at_(at) {}
  void tensor(std::string_view name, const Tensor&) override {
    ++n_calls;
    if (name == at_) throw std::runtime_error("the disk is full");
  }
  int64_t n_calls = 0;

 private:
  std::string_view at_;
};

struct Answer {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  std::optional<FinishReason> finish;
  std::string error;
  bool operator==(const Answer&) const = default;
};

Answer read(EventStream& stream, Usage* usage = nullptr) {
  Answer a;
  while (auto event = stream.next()) {
    if (event->token_id >= 0) a.ids.push_back(event->token_id);
    if (event->logprob) a.logprobs.push_back(event->logprob->logprob);
    if (event->finish) {
      a.finish = event->finish;
      a.error = event->error;
      if (usage != nullptr) *usage = event->usage;
    }
  }
  return a;
}

Request request(int32_t seed, int32_t n_prompt, int64_t n_generated) {
  Request r{.sampling = {.temperature = 1,
                         .seed = seed,
                         .max_tokens = n_generated,
                         .ignore_eos = true,
                         .n_logprobs = 0}};
  for (int32_t i = 0; i < n_prompt; ++i) r.prompt_ids.push_back((i * 5 + seed * 11 + 1) % 60);
  return r;
}

// Every value that evaluate() shows of prompt and generated tokens, from a request served in chunks
// among others, in a cache so small that it is preempted and computed again.
TEST(RequestTap, SeesWhatEvaluateShows) {
  int64_t n_preemptions = 0;
  for (const char* name :
       {"dense", "dense_bf16", "dense_after_rope", "dense_sliding", "moe", "moe_sparse_step"}) {
    for (const char* backend : {"reference", "cpu", "far"}) {
      SCOPED_TRACE(std::string(name) + " on " + backend);
      const auto model = load(name, backend);
      const int64_t kv_bytes = model->info().kv_bytes_per_token;
      Engine engine(model,
                    {.max_model_len = 96,
                     .kv_cache_bytes = 8 * 16 * 2 * kv_bytes,
                     .kv_dtype = "float32",
                     .block_size = 16,
                     .max_batch_tokens = 24,
                     .max_sequences = 8});
      std::vector<EventStream> others;
      for (int i = 0; i < 3; ++i) others.push_back(engine.submit(request(i, 20, 60)));
      Request tapped = request(9, 37, 30);
      KeepAll tap;
      tapped.tap = &tap;
      auto stream = engine.submit(tapped);
      const Answer answer = read(stream);
      ASSERT_EQ(answer.ids.size(), 30u) << answer.error;
      for (EventStream& other : others) EXPECT_EQ(read(other).ids.size(), 60u);
      n_preemptions += engine.stats().n_preemptions;

      std::vector<int32_t> ids = tapped.prompt_ids;  // the last token was drawn, but never run
      ids.insert(ids.end(), answer.ids.begin(), answer.ids.end() - 1);
      KeepAll whole;
      evaluate(*model, ids, {.tap = &whole}, [](int64_t, const Tensor&) {});
      EXPECT_EQ(whole.n_steps, 1);
      EXPECT_GT(tap.n_steps, 30);
      EXPECT_EQ(tap.positions, whole.positions);
      ASSERT_GT(whole.tensors.size(), 20u);
      EXPECT_EQ(tap.tensors.size(), whole.tensors.size());
      for (const auto& [tensor, values] : whole.tensors) {
        std::vector<float> expected = values;
        if (tensor == "norm" || tensor == "logits") {  // the engine wants those of 30 tokens only
          const auto row_size = static_cast<int64_t>(expected.size() / ids.size());
          expected.erase(expected.begin(), expected.end() - 30 * row_size);
        }
        EXPECT_EQ(tap.tensors[tensor], expected) << tensor;
      }
    }
  }
  EXPECT_GT(n_preemptions, 0);
}

// Tracing shows a computation, it is not another one.
TEST(RequestTap, ChangesNoBit) {
  for (const char* name : {"dense",
                           "dense_bf16",
                           "dense_bias",
                           "dense_after_rope",
                           "moe",
                           "moe_small",
                           "moe_norm_topk_false"}) {
    for (const char* backend : {"reference", "cpu", "far"}) {
      SCOPED_TRACE(std::string(name) + " on " + backend);
      const auto model = load(name, backend);
      const EngineOptions options{.block_size = 16, .max_batch_tokens = 24, .max_sequences = 8};
      const auto answers = [&](std::vector<int> tapped) {
        std::vector<KeepAll> taps(6);
        Engine engine(model, options);
        std::vector<EventStream> streams;
        for (int i = 0; i < 6; ++i) {
          Request r = request(i / 2, 30 + i, 20);  // pairs that share a prefix
          if (std::ranges::count(tapped, i) > 0) r.tap = &taps[static_cast<size_t>(i)];
          streams.push_back(engine.submit(std::move(r)));
        }
        std::vector<Answer> all;
        for (EventStream& stream : streams) all.push_back(read(stream));
        return all;
      };
      const std::vector<Answer> untapped = answers({});
      EXPECT_EQ(untapped.front().finish, FinishReason::length);
      EXPECT_EQ(answers({1}), untapped);
      EXPECT_EQ(answers({0, 3, 4}), untapped);
    }
  }
}

// What listens gets host memory, and the same bits, wherever the model computes; and the lens, which
// takes rows back to the model, too.
TEST(Evaluate, ListenersSeeTheSameOnMemoryOutOfTheHostsReach) {
  const std::vector<int32_t> ids{36, 55, 27, 1, 9, 3, 3};
  for (const char* name : {"dense", "moe"}) {
    const auto see = [&](const std::string& backend) {
      const auto model = load(name, backend);
      HeadProjection projection(*model, LogitLens::kChunkRows);
      KeepAll all;
      LogitLens lens(std::ref(projection), 4, 3, 0);
      RoutingRecorder routing;
      AttentionRecorder attention(model->shape(), 16);
      TapList taps;
      for (Tap* tap : std::initializer_list<Tap*>{&all, &lens, &routing, &attention})
        taps.add(*tap);
      evaluate(*model, ids, {.tap = &taps}, [](int64_t, const Tensor&) {});
      std::vector<std::vector<float>> lens_logits;
      for (const auto& layer : lens.layers()) {
        for (const auto& row : layer) {
          auto& kept = lens_logits.emplace_back();
          for (const auto& best : row) kept.push_back(best.probability);
        }
      }
      EXPECT_FALSE(lens_logits.empty());
      return std::pair(all.tensors, lens_logits);
    };
    EXPECT_EQ(see("far"), see("reference")) << name;
  }
}

// Logits of every row, bit for bit, with and without a listener.
TEST(Evaluate, ATapChangesNoBit) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 50; ++i) ids.push_back((i * 7 + 3) % 60);
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    if (!entry.is_directory()) continue;
    for (const char* backend : {"reference", "cpu", "baseline", "far"}) {
      LoadOptions options{.backend = backend, .n_threads = 2};
      if (options.backend == "baseline") options = {.backend = "cpu", .cpu_isa = backend};
      const auto model = test::load_model(entry.path(), options);
      KeepAll tap;
      std::vector<float> plain, tapped;
      const auto into = [](std::vector<float>& out) {
        return [&out](int64_t, const Tensor& logits) {
          out.insert(out.end(), logits.f32(), logits.f32() + logits.numel());
        };
      };
      evaluate(*model, ids, {}, into(plain));
      evaluate(*model, ids, {.tap = &tap}, into(tapped));
      EXPECT_EQ(plain, tapped) << entry.path().filename() << " on " << backend;
    }
  }
}

TEST(RequestTap, ReadsNoPrefixCacheButFillsIt) {
  const auto model = load("moe", "cpu");
  Engine engine(model, {.block_size = 16});
  Request r = request(1, 50, 4);
  Usage usage;
  auto first = engine.submit(r);
  const Answer untapped = read(first, &usage);
  KeepAll tap;
  r.tap = &tap;
  auto second = engine.submit(r);
  EXPECT_EQ(read(second, &usage), untapped);
  EXPECT_EQ(usage.cached_tokens, 0);
  EXPECT_EQ(tap.positions.size(), 53u);
  r.tap = nullptr;
  auto third = engine.submit(r);
  EXPECT_EQ(read(third, &usage), untapped);
  EXPECT_EQ(usage.cached_tokens, 48);
}

// What else a request may ask for comes out the same with a tap.
TEST(RequestTap, PromptLogprobsAndEmbeddings) {
  const auto model = load("moe", "cpu");
  const auto events = [&](bool tapped) {
    std::vector<KeepAll> taps(2);
    Engine engine(model, {.block_size = 16, .max_batch_tokens = 24, .max_sequences = 8});
    std::vector<EventStream> streams;
    for (const bool embed : {false, true}) {
      Request r = request(2, 60, 3);
      if (tapped) r.tap = &taps[embed ? 1 : 0];
      if (embed) r.embed = true;
      if (!embed) r.n_prompt_logprobs = 3;
      streams.push_back(engine.submit(std::move(r)));
    }
    auto company = engine.submit(request(5, 50, 10));
    std::vector<Event> all;
    for (EventStream& stream : streams) {
      while (auto event = stream.next()) all.push_back(*event);
    }
    EXPECT_EQ(read(company).ids.size(), 10u);
    return all;
  };
  const std::vector<Event> plain = events(false), tapped = events(true);
  ASSERT_EQ(plain.size(), 4u);
  ASSERT_EQ(tapped.size(), plain.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(tapped[i].error, "");
    EXPECT_EQ(tapped[i].token_id, plain[i].token_id);
    EXPECT_EQ(tapped[i].embedding, plain[i].embedding);
    ASSERT_EQ(tapped[i].prompt_logprobs.size(), plain[i].prompt_logprobs.size());
    for (size_t j = 1; j < plain[i].prompt_logprobs.size(); ++j) {
      EXPECT_EQ(tapped[i].prompt_logprobs[j].token->logprob,
                plain[i].prompt_logprobs[j].token->logprob);
    }
  }
  EXPECT_EQ(plain[0].prompt_logprobs.size(), 60u);
  EXPECT_FALSE(plain[3].embedding.empty());
}

TEST(RequestTap, ThatThrowsEndsItsOwnRequestOnly) {
  const auto model = load("moe", "cpu");
  Engine engine(model, {.block_size = 16});
  auto reference = engine.submit(request(3, 20, 12));
  const Answer expected = read(reference);
  Throws tap("layers.0.self_attn.q_norm");  // inside a fused operation
  Request r = request(4, 40, 12);
  r.tap = &tap;
  auto other = engine.submit(request(3, 20, 12));
  auto failing = engine.submit(r);
  const Answer failed = read(failing);
  EXPECT_EQ(failed.finish, FinishReason::error);
  EXPECT_THAT(failed.error, HasSubstr("its tap failed: the disk is full"));
  EXPECT_TRUE(failed.ids.empty());
  EXPECT_LT(tap.n_calls, 12);
  EXPECT_EQ(read(other), expected);
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.n_free_blocks, stats.n_blocks);
  r.tap = nullptr;  // what the failed request left in the prefix cache is sound
  auto again = engine.submit(r);
  const Answer from_cache = read(again);
  Engine fresh(model, {.block_size = 16});
  auto plain = fresh.submit(r);
  EXPECT_EQ(from_cache, read(plain));
}

// The scheduler's and the core's side on the model that checks every slot, with blocks conserved.
TEST(RequestTap, MockModelSeesSoundBatches) {
  MockModel::Knobs knobs;
  std::vector<KeepAll> taps(8);
  EngineCore core(
      std::make_unique<MockModel>(12, 4, 50, knobs),
      {.scheduler = {.n_blocks = 12, .block_size = 4, .max_batch_tokens = 8, .max_sequences = 4},
       .limits = {.n_real_tokens = 50, .max_model_len = 40},
       .eos_token_ids = {},
       .check_every_step = true});
  std::vector<Request> requests;
  std::vector<EventStream> streams;
  for (int i = 0; i < 8; ++i) {
    Request r = request(i, 6 + i, 14);
    for (int32_t& id : r.prompt_ids) id %= 50;
    if (i % 3 == 0) r.tap = &taps[static_cast<size_t>(i)];
    requests.push_back(r);
    streams.push_back(core.submit(r));
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    EXPECT_EQ(read(streams[i]).ids, mock_continuation(requests[i], 50, 40)) << i;
  }
  EXPECT_GT(core.stats().n_preemptions, 0);
}

// The steps tell when each token of each request was computed, every token once without preemption.
TEST(StepReports, CoverEveryTokenAndEveryEnd) {
  MockModel::Knobs knobs;
  std::vector<StepReport> steps;
  std::vector<int64_t> lengths;  // request i has the id i + 1
  {
    EngineCore core(std::make_unique<MockModel>(64, 4, 50, knobs),
                    {.scheduler = {.n_blocks = 64,
                                   .block_size = 4,
                                   .max_batch_tokens = 8,
                                   .max_sequences = 4,
                                   .prefix_cache = false},
                     .limits = {.n_real_tokens = 50, .max_model_len = 40},
                     .eos_token_ids = {},
                     .on_step = [&](const StepReport& step) { steps.push_back(step); }});
    std::vector<EventStream> streams;
    for (int i = 0; i < 5; ++i) {
      Request r = request(i, 6 + 3 * i, 4);
      for (int32_t& id : r.prompt_ids) id %= 50;
      lengths.push_back(static_cast<int64_t>(r.prompt_ids.size()) + 3);
      streams.push_back(core.submit(std::move(r)));
    }
    for (EventStream& stream : streams) EXPECT_EQ(read(stream).finish, FinishReason::length);
    knobs.sleep_us = 20000;
    auto endless = core.submit(request(0, 5, 34));
    endless.next();
    endless.cancel();
    EXPECT_EQ(read(endless).finish, FinishReason::cancelled);
  }
  std::map<uint64_t, int64_t> n_computed, n_ended;
  StepReport::Time last;
  for (const StepReport& step : steps) {
    EXPECT_LE(last, step.begin);
    EXPECT_LE(step.begin, step.end);
    last = step.end;
    for (const auto& part : step.computed) {
      EXPECT_EQ(part.first_token, n_computed[part.request_id]);
      EXPECT_LE(part.submitted, step.end);
      n_computed[part.request_id] += part.n_tokens;
    }
    for (const auto& end : step.ended) {
      ++n_ended[end.request_id];
      EXPECT_EQ(end.reason, end.request_id <= 5 ? FinishReason::length : FinishReason::cancelled);
    }
  }
  for (uint64_t id = 1; id <= 6; ++id) EXPECT_EQ(n_ended[id], 1) << id;
  for (size_t i = 0; i < lengths.size(); ++i) EXPECT_EQ(n_computed[i + 1], lengths[i]) << i;
}

}  // namespace
}  // namespace qwen3
