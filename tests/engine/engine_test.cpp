// The engine over real (tiny) checkpoints and both backends: transformers' greedy continuations,
// and the same bits in whatever company.
#include "qwen3/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "engine/evaluate.h"
#include "engine/model_impl.h"
#include "engine/sampler.h"
#include "support/expect_error.h"
#include "support/load_model.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

const std::filesystem::path kModels = QWEN3_SOURCE_DIR "/tests/data/models";

std::shared_ptr<Model> load(const std::string& name, const std::string& backend) {
  return test::load_model(kModels / name, {.backend = backend, .n_threads = 2});
}

struct Answer {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  std::optional<FinishReason> finish;
  Usage usage;
  bool operator==(const Answer& other) const {
    return ids == other.ids && logprobs == other.logprobs && finish == other.finish;
  }
};

Answer read(EventStream& stream) {
  Answer a;
  while (auto event = stream.next()) {
    EXPECT_EQ(event->error, "");
    if (event->token_id >= 0) a.ids.push_back(event->token_id);
    if (event->logprob) a.logprobs.push_back(event->logprob->logprob);
    if (event->finish) {
      a.finish = event->finish;
      a.usage = event->usage;
    }
  }
  return a;
}

TEST(Engine, ContinuesGreedilyAsTransformersDoes) {
  int64_t n_models = 0, n_prompts = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    if (!std::filesystem::exists(entry.path() / "golden.json")) continue;
    const Json golden =
        parse_json(read_text_file(entry.path() / "golden.json", 1 << 20), "golden.json");
    if (!golden.contains("greedy")) continue;
    ++n_models;
    for (const char* backend : {"reference", "cpu", "far"}) {
      // float32 throughout, as the goldens were made: 16-bit products round activations.
      Engine engine(
          test::load_model(entry.path(), {.backend = backend, .dtype = "float32", .n_threads = 2}),
          {.kv_dtype = "float32", .block_size = 16, .max_batch_tokens = 64});
      for (const Json& g : golden["greedy"]) {
        const auto expected = g["ids"].get<std::vector<int32_t>>();
        auto stream =
            engine.submit({.prompt_ids = g["prompt"].get<std::vector<int32_t>>(),
                           .sampling = {.max_tokens = static_cast<int64_t>(expected.size()),
                                        .ignore_eos = true}});
        EXPECT_EQ(read(stream).ids, expected) << entry.path().filename() << " on " << backend;
        ++n_prompts;
      }
    }
  }
  EXPECT_GE(n_models, 15);
  EXPECT_GE(n_prompts, 30);
}

Request random_request(std::mt19937& random, int64_t vocab_size) {
  Request r;
  const auto n_common = random() % 40;
  for (size_t i = 0; i < n_common; ++i) {
    r.prompt_ids.push_back(static_cast<int32_t>((i * 7 + 3) % static_cast<uint64_t>(vocab_size)));
  }
  const auto n_own = 1 + random() % 30;
  for (size_t i = 0; i < n_own; ++i) {
    r.prompt_ids.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size)));
  }
  r.sampling.max_tokens = 1 + static_cast<int64_t>(random() % 40);
  r.sampling.n_logprobs = 0;
  r.sampling.ignore_eos = random() % 2 == 0;
  if (random() % 2 == 0) {
    r.sampling.temperature = 1.3;
    r.sampling.top_k = 50;
    r.sampling.frequency_penalty = 0.3;
    r.sampling.seed = random();
  }
  return r;
}

// Ids and log-probabilities, bit for bit: alone without a cache, then in the company of all others
// in a pool that holds few of them, with chunks of several sizes, with and without prefix cache.
int64_t check_that_nothing_changes_a_bit(const std::shared_ptr<Model>& model,
                                         const std::string& kv_dtype) {
  std::mt19937 random(31);
  std::vector<Request> requests;
  std::vector<Answer> alone;
  {
    Engine engine(model, {.kv_dtype = kv_dtype, .block_size = 16, .prefix_cache = false});
    for (int i = 0; i < 40; ++i) {
      requests.push_back(random_request(random, model->info().vocab_size));
      auto stream = engine.submit(requests.back());
      alone.push_back(read(stream));
      EXPECT_FALSE(alone.back().ids.empty());
    }
  }
  int64_t n_preemptions = 0;
  for (const int64_t max_batch_tokens : {64, 24}) {
    for (const bool prefix_cache : {true, false}) {
      Engine engine(model,
                    {.max_model_len = 128,
                     .kv_cache_bytes = 9 * 16 * model->info().kv_bytes_per_token,
                     .kv_dtype = kv_dtype,
                     .block_size = 16,
                     .max_batch_tokens = max_batch_tokens,
                     .max_sequences = 8,
                     .prefix_cache = prefix_cache});
      std::vector<EventStream> streams;
      for (const Request& request : requests) streams.push_back(engine.submit(request));
      for (size_t i = 0; i < streams.size(); ++i) {
        EXPECT_EQ(read(streams[i]), alone[i]) << "request " << i;
      }
      const EngineStats stats = engine.stats();
      n_preemptions += stats.n_preemptions;
      EXPECT_EQ(stats.cached_tokens > 0, prefix_cache);
      EXPECT_EQ(stats.n_free_blocks, stats.n_blocks);
    }
  }
  return n_preemptions;
}

TEST(Engine, CompanyChunksPreemptionAndCacheChangeNoBit) {
  for (const char* name : {"dense", "dense_bf16", "moe", "dense_sliding"}) {
    for (const char* backend : {"reference", "cpu", "far"}) {
      SCOPED_TRACE(std::string(name) + " on " + backend);
      const auto model = load(name, backend);
      EXPECT_GT(check_that_nothing_changes_a_bit(model, "auto"), 3);
      check_that_nothing_changes_a_bit(model, "q8");  // whose pool holds more
    }
  }
}

TEST(Engine, CachedPrefixGivesTheSameBits) {
  const auto model = load("moe", "cpu");
  Engine engine(model, {.block_size = 16});
  Request request{.sampling = {.max_tokens = 20, .n_logprobs = 5}};
  for (int32_t i = 0; i < 70; ++i) request.prompt_ids.push_back((i * 5 + 1) % 60);
  auto first = engine.submit(request);
  const Answer a = read(first);
  auto second = engine.submit(request);
  const Answer b = read(second);
  EXPECT_EQ(a.usage.cached_tokens, 0);
  EXPECT_EQ(b.usage.cached_tokens, 64);
  EXPECT_EQ(a, b);
}

TEST(Engine, RunsToTheEndOfTheContextAndNoFurther) {
  const auto model = load("dense", "cpu");
  Engine engine(model, {.max_model_len = 40});
  EXPECT_EQ(engine.max_model_len(), 40);
  for (const int64_t n : {38, 39}) {
    auto stream = engine.submit({.prompt_ids = std::vector<int32_t>(static_cast<size_t>(n), 7),
                                 .sampling = {.ignore_eos = true}});
    const Answer a = read(stream);
    EXPECT_EQ(static_cast<int64_t>(a.ids.size()), 40 - n);
    EXPECT_EQ(a.finish, FinishReason::length);
  }
  EXPECT_THROW(engine.submit({.prompt_ids = std::vector<int32_t>(40, 7)}), Error);
  EXPECT_THROW(engine.submit({.prompt_ids = {static_cast<int32_t>(model->info().vocab_size)}}),
               Error);
}

TEST(Engine, RefusesWhatDoesNotFitInWords) {
  const auto model = load("dense", "cpu");
  const auto kind_of = [&](const EngineOptions& options) {
    try {
      Engine engine(model, options);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("expected"), std::string::npos);
      return error.kind();
    }
    return ErrorKind::internal;
  };
  EXPECT_EQ(kind_of({.max_model_len = 129}), ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of({.n_real_tokens = model->info().vocab_size + 1}), ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of({.block_size = 7}), ErrorKind::invalid_argument);
  try {
    Engine engine(model, {.kv_cache_bytes = int64_t{1} << 49});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::out_of_memory);
    EXPECT_NE(std::string(error.what()).find("562950.0 GB"), std::string::npos) << error.what();
  }
  EXPECT_THROW(Engine(model, {.max_model_len = 128, .kv_cache_bytes = 1}), Error);
}

TEST(Model, TellsWhatItIs) {
  const auto model = load("moe", "reference");
  EXPECT_EQ(model->info().name, "moe");
  EXPECT_EQ(model->info().model_type, "qwen3_moe");
  EXPECT_EQ(model->info().backend, "reference (float32 loops, 1 thread)");
  EXPECT_GT(model->info().n_parameters, model->info().n_active_parameters);
  EXPECT_FALSE(model->generation_defaults().eos_token_ids.empty());
  EXPECT_THROW(Model::load(kModels / "no_such_model"), Error);
  EXPECT_THROW(Model::load(kModels / "dense", {.backend = "abacus"}), Error);
  EXPECT_THROW(Model::load(kModels / "dense", {.dtype = "float8"}), Error);
}

// The end token that only the tokenizer knows of.
TEST(Engine, EndsAtTheEndTokensOfItsOptionsToo) {
  const auto model = load("dense", "reference");
  const auto generated = [&](std::vector<int32_t> eos, bool ignore_eos) {
    Engine engine(model,
                  {.kv_dtype = "float32", .max_sequences = 1, .eos_token_ids = std::move(eos)});
    auto stream =
        engine.submit({.prompt_ids = {15, 3},
                       .sampling = {.temperature = 0, .max_tokens = 6, .ignore_eos = ignore_eos}});
    std::vector<int32_t> ids;
    while (const auto event = stream.next()) {
      if (event->token_id >= 0) ids.push_back(event->token_id);
    }
    return ids;
  };
  const std::vector<int32_t> all = generated({}, true);
  ASSERT_EQ(all.size(), 6u);
  const int32_t end = all[2];
  const auto first = std::ranges::find(all, end) - all.begin();
  const std::vector<int32_t> short_one(all.begin(), all.begin() + first + 1);
  EXPECT_EQ(generated({end}, false), short_one);
  EXPECT_EQ(generated({end}, true), all);
  EXPECT_ERROR(Engine(model, {.eos_token_ids = {static_cast<int32_t>(model->info().vocab_size)}}),
               ErrorKind::invalid_argument,
               "eos_token_ids: expected ids below the model's vocab_size");
}

// Random weights are never quantised: a config that says how others are is no plan for them.
TEST(Model, RandomWeightsOfAQuantisedConfigAreRefused) {
  const test::TempDir directory;
  directory.write("config.json", R"({"model_type": "qwen3", "vocab_size": 64, "hidden_size": 16,
      "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
      "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 64, "rope_theta": 10000.0,
      "quantization": {"group_size": 64, "bits": 4}})");
  EXPECT_ERROR(Model::load(directory.path(), {.backend = "reference", .random_weights = true}),
               ErrorKind::unsupported,
               "config.json: quantization: what quantised weights take is in their files only");
}

std::vector<int32_t> counting_ids(int32_t n) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < n; ++i) ids.push_back((i * 131 + 7) % 2000);
  return ids;
}

// A prompt longer than the rows of a step, scored in the company of others, against evaluate().
TEST(Engine, PromptLogprobsAreThoseOfEvaluate) {
  const auto model = Model::load(QWEN3_SOURCE_DIR "/models/nano", {.n_threads = 2});
  const auto vocab_size = static_cast<size_t>(model->info().vocab_size);
  constexpr int64_t kReal = 2100;
  const std::vector<int32_t> ids = counting_ids(150);
  std::vector<PromptLogprobs> expected(1);
  Sampler sampler(model->info().vocab_size, kReal);
  double worst = 0;
  evaluate(*model, ids, {}, [&](int64_t first_row, const Tensor& logits) {
    for (int64_t r = 0; r < logits.dim(0) && first_row + r + 1 < 150; ++r) {
      const std::span<const float> row(logits.f32_row(r), vocab_size);
      const int32_t next = ids[static_cast<size_t>(first_row + r + 1)];
      const Sampled s = sampler.score(row, next, 5);
      expected.push_back({.token = TokenLogprob{next, s.logprob},
                          .top = {s.top.begin(), s.top.begin() + s.n_top}});
      double sum = 0;
      for (const float x : row) sum += std::exp(static_cast<double>(x));
      const double exact = static_cast<double>(row[static_cast<size_t>(next)]) - std::log(sum);
      worst = std::max(worst, std::abs(exact - static_cast<double>(s.logprob)));
    }
  });
  EXPECT_LT(worst, 5e-6);
  Engine engine(model, {.kv_dtype = "float32", .max_sequences = 4, .n_real_tokens = kReal});
  std::vector<EventStream> company;
  for (int32_t i = 0; i < 3; ++i) company.push_back(engine.submit({.prompt_ids = {i, i + 1}}));
  company.push_back(engine.submit({.prompt_ids = ids, .sampling = {.max_tokens = 1}}));
  auto stream =
      engine.submit({.prompt_ids = ids, .sampling = {.max_tokens = 1}, .n_prompt_logprobs = 5});
  const auto event = stream.next();
  ASSERT_EQ(event->prompt_logprobs.size(), expected.size());
  for (size_t i = 1; i < expected.size(); ++i) {
    const PromptLogprobs& got = event->prompt_logprobs[i];
    EXPECT_EQ(got.token->token_id, expected[i].token->token_id);
    EXPECT_EQ(got.token->logprob, expected[i].token->logprob) << i;
    ASSERT_EQ(got.top.size(), 5u);
    for (size_t k = 0; k < 5; ++k) {
      EXPECT_EQ(got.top[k].token_id, expected[i].top[k].token_id);
      EXPECT_EQ(got.top[k].logprob, expected[i].top[k].logprob);
    }
  }
  EXPECT_EQ(event->usage.cached_tokens, 0);
}

class KeepNorm final : public Tap {
 public:
  void tensor(std::string_view name, const Tensor& value) override {
    if (name != "norm") return;
    const float* row = value.f32_row(value.dim(0) - 1);
    last_row.assign(row, row + value.dim(1));
  }
  std::vector<float> last_row;
};

TEST(Engine, EmbeddingIsTheNormOfTheLastToken) {
  const auto model = Model::load(QWEN3_SOURCE_DIR "/models/nano-moe", {.n_threads = 2});
  Engine engine(model, {.kv_dtype = "float32", .max_batch_tokens = 64, .max_sequences = 8});
  for (const int32_t n : {1, 20, 100}) {
    const std::vector<int32_t> ids = counting_ids(n);
    KeepNorm tap;
    evaluate(*model, ids, {.tap = &tap}, [](int64_t, const Tensor&) {});
    auto company = engine.submit({.prompt_ids = {1, 2, 3}, .sampling = {.max_tokens = 4}});
    auto stream = engine.submit({.prompt_ids = ids, .embed = true});
    const auto event = stream.next();
    EXPECT_EQ(event->finish, FinishReason::stop) << event->error;
    // evaluate() with a tap runs fused operations as their definitions: the same up to rounding.
    ASSERT_EQ(event->embedding.size(), tap.last_row.size());
    double error = 0, size = 0;
    for (size_t i = 0; i < tap.last_row.size(); ++i) {
      const double expected = static_cast<double>(tap.last_row[i]);
      error += std::pow(static_cast<double>(event->embedding[i]) - expected, 2);
      size += expected * expected;
    }
    EXPECT_GT(size, 0);
    EXPECT_LT(std::sqrt(error / size), 1e-6) << n;
  }
}

TEST(Engine, ModelWithoutAHeadOnlyEmbeds) {
  const std::vector<int32_t> ids = {3, 1, 4, 1, 5};
  std::vector<float> expected;
  for (const bool has_head : {true, false}) {
    const auto model = load("dense", "cpu");
    if (!has_head) impl_of(*model).weights.lm_head = Linear();
    Engine engine(model, {});
    auto stream = engine.submit({.prompt_ids = ids, .embed = true});
    const auto event = stream.next();
    EXPECT_EQ(event->finish, FinishReason::stop) << event->error;
    if (has_head) expected = event->embedding;
    EXPECT_EQ(event->embedding, expected);
    if (has_head) continue;
    for (const bool embed : {false, true}) {
      try {
        engine.submit({.prompt_ids = ids, .n_prompt_logprobs = embed ? 0 : -1, .embed = embed});
        ADD_FAILURE() << "a model without a head has no logits";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
      }
    }
  }
}

class CountRows final : public Tap {
 public:
  void tensor(std::string_view name, const Tensor& value) override {
    if (name == "logits") n_rows = value.dim(0);
  }
  int64_t n_rows = 0;
};

// A vocabulary so large that evaluate() works in chunks; with a tap it must not, and both must
// agree.
TEST(Evaluate, ChunksGiveTheSameLogitsAsOneBatch) {
  const test::TempDir directory;
  directory.write("config.json", R"({"model_type": "qwen3", "vocab_size": 151936,
      "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
      "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
      "max_position_embeddings": 512, "rope_theta": 10000.0, "torch_dtype": "bfloat16",
      "tie_word_embeddings": true, "eos_token_id": 2})");
  const auto model =
      Model::load(directory.path(), {.backend = "reference", .random_weights = true});
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 250; ++i) ids.push_back(i * 577 % 151936);
  const auto collect = [&](Tap* tap, int64_t& n_chunks) {
    std::vector<float> sums;
    n_chunks = 0;
    evaluate(*model, ids, {.tap = tap}, [&](int64_t first_row, const Tensor& logits) {
      EXPECT_EQ(first_row, static_cast<int64_t>(sums.size()));
      ++n_chunks;
      for (int64_t row = 0; row < logits.dim(0); ++row) {
        float sum = 0;
        for (int64_t i = 0; i < logits.dim(1); i += 97) sum += logits.f32_row(row)[i];
        sums.push_back(sum);
      }
    });
    return sums;
  };
  CountRows tap;
  int64_t n_chunks = 0, n_tapped_chunks = 0;
  const std::vector<float> chunked = collect(nullptr, n_chunks);
  const std::vector<float> tapped = collect(&tap, n_tapped_chunks);
  EXPECT_EQ(n_chunks, 3);
  EXPECT_EQ(n_tapped_chunks, 1);
  EXPECT_EQ(tap.n_rows, 250);
  ASSERT_EQ(chunked.size(), 250u);
  EXPECT_EQ(chunked, tapped);
  EXPECT_THROW(evaluate(*model, {}, {}, [](int64_t, const Tensor&) {}), Error);
  ids[3] = 151936;
  EXPECT_THROW(evaluate(*model, ids, {}, [](int64_t, const Tensor&) {}), Error);
}

TEST(Evaluate, AgreesWithTheEngineAndMayRunBesideIt) {
  const auto model = load("dense", "cpu");
  Engine engine(model, {.kv_dtype = "float32"});
  const std::vector<int32_t> ids{5, 9, 200, 3};
  std::vector<EventStream> busy;
  for (int i = 0; i < 8; ++i) busy.push_back(engine.submit({.prompt_ids = {i}}));
  int32_t best = -1;
  evaluate(*model, ids, {}, [&](int64_t first_row, const Tensor& logits) {
    EXPECT_EQ(first_row, 0);
    EXPECT_EQ(logits.dim(0), 4);
    const float* row = logits.f32_row(3);
    best = static_cast<int32_t>(std::max_element(row, row + logits.dim(1)) - row);
  });
  auto stream = engine.submit({.prompt_ids = ids, .sampling = {.max_tokens = 1}});
  EXPECT_EQ(read(stream).ids, std::vector<int32_t>{best});
}

}  // namespace
}  // namespace qwen3
