#include "engine/plan.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "model/qwen3.h"

namespace qwen3 {
namespace {

// Qwen3-0.6B.
HfConfig config() {
  return parse_hf_config(R"({"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024,
      "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
      "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960,
      "rope_theta": 1000000, "tie_word_embeddings": true, "torch_dtype": "bfloat16"})",
                         "config.json");
}

class Plan : public testing::Test {
 protected:
  MemoryPlan plan(int64_t available, const EngineOptions& options = {}) {
    return plan_memory(config_, *backend_, WeightType::bf16, 1'200'000'000, available, options);
  }
  HfConfig config_ = config();
  std::unique_ptr<Backend> backend_ = make_backend({.name = "reference", .isa = ""});
};

constexpr int64_t kTokenBytes = 28 * 2 * 8 * 128 * 2;  // layers, k and v, heads, head_dim, bf16

TEST_F(Plan, CountsKeysAndValues) {
  EXPECT_EQ(plan(int64_t{64} << 30).kv_bytes_per_token, kTokenBytes);
  EXPECT_EQ(plan(int64_t{64} << 30, {.kv_dtype = "float32"}).kv_bytes_per_token, 2 * kTokenBytes);
  EXPECT_EQ(plan(int64_t{64} << 30, {.kv_dtype = "q8"}).kv_bytes_per_token, 28 * 2 * 8 * (128 + 4));
}

TEST_F(Plan, PlentyOfMemoryGivesTheFullContextToOneOrAThousandTokensToEach) {
  const MemoryPlan p = plan(int64_t{64} << 30);
  EXPECT_EQ(p.problem, "");
  EXPECT_EQ(p.max_model_len, 40960);
  EXPECT_EQ(p.longest_context, 40960);
  EXPECT_EQ(p.n_blocks, 64 * 1024 / 32);
  EXPECT_EQ(plan(int64_t{64} << 30, {.max_sequences = 1}).n_blocks, 40960 / 32);
}

TEST_F(Plan, AStepHasTheRowsThatAreAskedForOrThoseOfTheBackend) {
  EXPECT_EQ(max_batch_tokens({}, *backend_), 512);
  EXPECT_EQ(max_batch_tokens({.max_sequences = 600}, *backend_), 600);
  EXPECT_EQ(max_batch_tokens({.max_batch_tokens = 64}, *backend_), 64);
}

TEST_F(Plan, LittleMemoryShortensTheContext) {
  const MemoryPlan p = plan(3'000'000'000);
  EXPECT_EQ(p.problem, "");
  const int64_t left = 3'000'000'000 - 1'200'000'000 - 3'000'000'000 / 20 -
                       Qwen3::buffer_bytes(config_, *backend_, 512, max_logit_rows({}), 40960);
  EXPECT_EQ(p.n_blocks, left / 2 / (32 * kTokenBytes));
  EXPECT_EQ(p.max_model_len, p.n_blocks * 32);
  EXPECT_EQ(p.longest_context, left / (32 * kTokenBytes) * 32);
  EXPECT_LE(p.kv_cache_bytes, left / 2);
}

TEST_F(Plan, SaysWhatDoesNotFit) {
  EXPECT_NE(plan(1'000'000'000).problem, "");
  const MemoryPlan p = plan(3'000'000'000, {.max_model_len = 40960});
  EXPECT_NE(p.problem.find("4.7 GB"), std::string::npos) << p.problem;
  EXPECT_NE(p.problem.find("1.2 GB weights"), std::string::npos) << p.problem;
  EXPECT_EQ(plan(int64_t{64} << 30, {.max_model_len = 40960}).problem, "");
  EXPECT_NE(plan(3'000'000'000, {.kv_cache_bytes = 2'900'000'000}).problem, "");
  EXPECT_NE(plan(int64_t{64} << 30, {.kv_cache_bytes = 100}).problem, "");
  EXPECT_NE(plan(int64_t{64} << 30, {.max_model_len = 1}).problem.find("at least 2 tokens, "),
            std::string::npos);
}

TEST_F(Plan, YarnStretchesTheContext) {
  config_.rope_scaling.type = RopeScaling::Type::yarn;
  config_.rope_scaling.factor = 4;
  config_.rope_scaling.original_max_position_embeddings = 32768;
  EXPECT_EQ(config_.context_length(), 131072);
}

}  // namespace
}  // namespace qwen3
