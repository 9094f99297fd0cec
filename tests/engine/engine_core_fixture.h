// Mock: an EngineCore over MockModel, where every continuation is known without an engine, and the
// helpers that its tests share.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "engine/engine_core.h"
#include "mock_model.h"

namespace qwen3 {

inline constexpr int64_t kVocab = 64;
inline constexpr int64_t kBlock = 16;

struct MockOptions {
  int64_t n_blocks = 64;
  int64_t max_model_len = 256;
  int64_t max_batch_tokens = 32;
  int64_t max_sequences = 8;
  int64_t max_logit_rows = 0;
  int64_t n_real_tokens = kVocab;
  int64_t max_waiting = 1000;
  int64_t max_waiting_tokens = 0;
  bool prefix_cache = true;
  std::vector<int32_t> eos = {};
  std::function<Clock::time_point()> now = Clock::now;
};

struct Mock {
  explicit Mock(const MockOptions& s)
      : core(std::make_unique<MockModel>(s.n_blocks, kBlock, kVocab, knobs),
             {.scheduler = {.n_blocks = s.n_blocks,
                            .block_size = kBlock,
                            .max_batch_tokens = s.max_batch_tokens,
                            .max_sequences = s.max_sequences,
                            .max_logit_rows = s.max_logit_rows,
                            .prefix_cache = s.prefix_cache},
              .limits = {.n_real_tokens = s.n_real_tokens, .max_model_len = s.max_model_len},
              .max_waiting = s.max_waiting,
              .max_waiting_tokens = s.max_waiting_tokens,
              .eos_token_ids = s.eos,
              .check_every_step = true,
              .now = s.now}) {}
  MockModel::Knobs knobs;
  EngineCore core;
};

struct Outcome {
  std::vector<int32_t> ids;
  Event last;
};

// Reads to the end; n_read tokens were read before.
inline Outcome drain(EventStream& stream, int64_t n_read = 0) {
  Outcome outcome;
  while (auto event = stream.next()) {
    EXPECT_FALSE(outcome.last.finish.has_value()) << "an event after the last";
    if (event->token_id >= 0) outcome.ids.push_back(event->token_id);
    outcome.last = *event;
  }
  EXPECT_TRUE(outcome.last.finish.has_value());
  EXPECT_EQ(outcome.last.usage.completion_tokens,
            n_read + static_cast<int64_t>(outcome.ids.size()));
  return outcome;
}

inline std::vector<int32_t> prompt(int64_t length, uint64_t seed) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < length; ++i) {
    ids.push_back(static_cast<int32_t>(mix64(seed * 1000 + static_cast<uint64_t>(i)) % kVocab));
  }
  return ids;
}

inline Request random_request(std::mt19937& random) {
  Request r;
  // A few common beginnings, so that prefixes are shared.
  r.prompt_ids = prompt(static_cast<int64_t>(random() % 70), random() % 3);
  for (const int32_t id : prompt(1 + static_cast<int64_t>(random() % 20), random())) {
    r.prompt_ids.push_back(id);
  }
  r.sampling.max_tokens = 1 + static_cast<int64_t>(random() % 50);
  if (random() % 2 == 0) {
    r.sampling.temperature = 1.0;
    r.sampling.top_p = 0.9;
    r.sampling.presence_penalty = 0.5;
    r.sampling.repetition_penalty = 1.1;
    r.sampling.seed = random();
  }
  return r;
}

}  // namespace qwen3
