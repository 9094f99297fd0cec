// The engine over real (tiny) checkpoints and both backends: transformers' greedy continuations,
// and the same bits in whatever company.
#include "qwen3/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"
#include "engine/evaluate.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

const std::filesystem::path kModels = QWEN3_SOURCE_DIR "/tests/data/models";

std::shared_ptr<Model> load(const std::string& name, const std::string& backend) {
  return Model::load(kModels / name, {.backend = backend, .n_threads = 2});
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
    for (const char* backend : {"reference", "cpu"}) {
      // float32 throughout, as the goldens were made: 16-bit products round activations.
      Engine engine(
          Model::load(entry.path(), {.backend = backend, .dtype = "float32", .n_threads = 2}),
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
TEST(Engine, CompanyChunksPreemptionAndCacheChangeNoBit) {
  for (const char* name : {"dense", "dense_bf16", "moe", "dense_sliding"}) {
    for (const char* backend : {"reference", "cpu"}) {
      const auto model = load(name, backend);
      std::mt19937 random(31);
      std::vector<Request> requests;
      std::vector<Answer> alone;
      {
        Engine engine(model, {.block_size = 16, .prefix_cache = false});
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
                         .block_size = 16,
                         .max_batch_tokens = max_batch_tokens,
                         .max_sequences = 8,
                         .prefix_cache = prefix_cache});
          std::vector<EventStream> streams;
          for (const Request& request : requests) streams.push_back(engine.submit(request));
          for (size_t i = 0; i < streams.size(); ++i) {
            EXPECT_EQ(read(streams[i]), alone[i]) << name << " on " << backend << " request " << i;
          }
          const EngineStats stats = engine.stats();
          n_preemptions += stats.n_preemptions;
          EXPECT_EQ(stats.cached_tokens > 0, prefix_cache);
          EXPECT_EQ(stats.n_free_blocks, stats.n_blocks);
        }
      }
      EXPECT_GT(n_preemptions, 3) << name;
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
    evaluate(*model, ids, tap, [&](int64_t first_row, const Tensor& logits) {
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
  EXPECT_THROW(evaluate(*model, {}, nullptr, [](int64_t, const Tensor&) {}), Error);
  ids[3] = 151936;
  EXPECT_THROW(evaluate(*model, ids, nullptr, [](int64_t, const Tensor&) {}), Error);
}

TEST(Evaluate, AgreesWithTheEngineAndMayRunBesideIt) {
  const auto model = load("dense", "cpu");
  Engine engine(model, {.kv_dtype = "float32"});
  const std::vector<int32_t> ids{5, 9, 200, 3};
  std::vector<EventStream> busy;
  for (int i = 0; i < 8; ++i) busy.push_back(engine.submit({.prompt_ids = {i}}));
  int32_t best = -1;
  evaluate(*model, ids, nullptr, [&](int64_t first_row, const Tensor& logits) {
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
