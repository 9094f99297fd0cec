// An engine whose model ranks share: the same tokens, log-probabilities and embeddings as one process has,
// in company, in chunks, after preemption and from the prefix cache; and what happens when a rank fails.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <utility>

#include "base/error.h"
#include "engine/group_testing.h"
#include "engine/model_impl.h"
#include "engine/model_parts.h"
#include "formats/gguf_path.h"
#include "parallel/thread_group.h"
#include "qwen3/engine.h"
#include "support/expect_error.h"

namespace qwen3::test {
namespace {

const std::filesystem::path kRoot = QWEN3_SOURCE_DIR;

LoadOptions on_cpu() { return {.backend = "cpu", .n_threads = 1}; }

// Few blocks, so that sequences are preempted; chunks of several sizes; with and without a prefix cache.
std::vector<EngineOptions> many_options(const Model& model) {
  std::vector<EngineOptions> all;
  for (const int64_t chunk : {1, 7, 16, 512}) {
    EngineOptions o{
        .block_size = 16, .max_batch_tokens = chunk, .max_sequences = std::min<int64_t>(chunk, 6)};
    o.prefix_cache = chunk != 16;
    o.max_model_len = std::min<int64_t>(96, model.info().max_position_embeddings);
    if (chunk == 7) o.kv_cache_bytes = 16 * 9 * model.info().kv_bytes_per_token;
    all.push_back(o);
  }
  return all;
}

TEST(Group, AnswersAsOneProcessDoes) {
  for (const std::filesystem::path& path : {kRoot / "models" / "nano",
                                            kRoot / "models" / "nano-moe",
                                            kRoot / "tests/data/models/dense_bias",
                                            kRoot / "tests/data/models/moe"}) {
    const auto alone = make_model(load_parts(path, on_cpu()), model_name(path));
    const auto requests = requests_of(alone->info().vocab_size, 12);
    const auto expected = answers(alone, {.block_size = 16, .prefix_cache = false}, requests);
    for (const int n_ranks : {2, 3, 5, 8}) {
      with_ranks(path, on_cpu(), n_ranks, [&](const std::shared_ptr<Model>& model) {
        for (const EngineOptions& options : many_options(*alone)) {
          EXPECT_EQ(answers(model, options, requests), expected)
              << path << " " << n_ranks << " ranks, chunks of " << options.max_batch_tokens;
        }
      });
    }
  }
}

TEST(Group, SeveralHostsAnswerAsOneProcessDoes) {
  for (const std::filesystem::path& path : {kRoot / "models" / "nano",
                                            kRoot / "models" / "nano-moe",
                                            kRoot / "tests/data/models/moe"}) {
    const auto alone = make_model(load_parts(path, on_cpu(), nullptr), model_name(path));
    const auto requests = requests_of(alone->info().vocab_size, 8);
    const auto expected = answers(alone, {.block_size = 16, .prefix_cache = false}, requests);
    for (const auto& group :
         std::initializer_list<std::pair<int, int>>{{2, 2}, {3, 2}, {5, 3}, {8, 2}}) {
      const int n_ranks = group.first, n_hosts = group.second;
      with_ranks(
          path,
          on_cpu(),
          n_ranks,
          [&](const std::shared_ptr<Model>& model) {
            for (const EngineOptions& options : many_options(*alone)) {
              EXPECT_EQ(answers(model, options, requests), expected)
                  << path << " " << n_ranks << " ranks on " << n_hosts << " hosts, chunks of "
                  << options.max_batch_tokens;
            }
          },
          n_hosts);
    }
  }
}

// Beside an engine that is open, from the same ranks; and with random weights.
TEST(Group, EvaluatesAsOneProcessDoes) {
  const std::filesystem::path path = kRoot / "models" / "nano";
  LoadOptions random = on_cpu();
  random.random_weights = true;
  for (const LoadOptions& options : {on_cpu(), random}) {
    const auto alone = make_model(load_parts(path, options), "nano");
    std::vector<int32_t> ids;
    for (int i = 0; i < 300; ++i) ids.push_back(i * 31 % 500);
    const auto expected = logits_of(*alone, ids);
    for (const int n_ranks : {2, 3, 4}) {
      with_ranks(path, options, n_ranks, [&](const std::shared_ptr<Model>& model) {
        Engine engine(model, {.block_size = 16});
        EXPECT_EQ(logits_of(*model, ids), expected) << n_ranks;
        EXPECT_EQ(model->info().n_parameters, alone->info().n_parameters);
        EXPECT_NE(model->info().backend.find(fmt::format("{} ranks", n_ranks)), std::string::npos);
      });
    }
  }
}

// Found at the end of the first step by the hash of what all ranks should have, and nothing is told. (A
// wrong part of a sum is wrong on all ranks alike: those are kept out when the group starts.)
TEST(Group, AnotherHiddenStateIsNeverDelivered) {
  const std::filesystem::path path = kRoot / "tests/data/models/dense_bias";
  std::vector<int32_t> delivered;
  std::string error;
  EXPECT_ANY_THROW(
      run_thread_ranks(2, {.peer_seconds = 0, .spinning = Spinning::no}, [&](Communicator& group) {
        ModelParts parts = load_parts(path, on_cpu(), &group);
        if (group.rank() == 1) parts.weights.layers[0].self_attn.o_proj.bias.f32()[0] += 0.5f;
        const auto model = make_model(std::move(parts), "dense_bias");
        if (group.rank() > 0) return run_group_worker(model);
        Engine engine(model, {.block_size = 16});
        auto stream = engine.submit({.prompt_ids = {1, 2, 3}, .sampling = {.max_tokens = 5}});
        while (const auto event = stream.next()) {
          if (event->token_id >= 0) delivered.push_back(event->token_id);
          error += event->error;
        }
      }));
  EXPECT_TRUE(delivered.empty());
  EXPECT_NE(error.find("rank 1: the hidden state of step 2 differs from rank 0's"),
            std::string::npos)
      << error;
}

TEST(Group, ARankThatFailsEndsTheGroup) {
  const std::filesystem::path path = kRoot / "models" / "nano";
  EXPECT_ERROR(run_thread_ranks(2,
                                {.peer_seconds = 0, .spinning = Spinning::no},
                                [&](Communicator& group) {
                                  const auto model =
                                      make_model(load_parts(path, on_cpu(), &group), "nano");
                                  if (group.rank() == 1) {
                                    group.await_plan({});  // the engine opens a runner here
                                    fail(ErrorKind::internal, "it broke");
                                  }
                                  Engine engine(model, {.block_size = 16});
                                }),
               ErrorKind::internal,
               "it broke");
}

}  // namespace
}  // namespace qwen3::test
