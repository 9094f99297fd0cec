// MockModel: a ModelRunner whose "keys" are hashes of the whole prefix, so that any wrong slot,
// block table, position or shared prefix changes the logits, and checks that notice it at once.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/mix64.h"
#include "engine/model_runner.h"
#include "engine/sampler.h"
#include "hardware/thread_pool.h"

namespace qwen3 {

inline uint64_t chain_hash(uint64_t previous, int32_t token) {
  return mix64(previous ^ (static_cast<uint64_t>(token) + 1));
}

// Logits that follow a prefix, in [-4, 4).
inline void mock_logits(std::span<float> out, uint64_t prefix) {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(mix64(prefix + i) >> 40) * 0x1p-21f - 4.0f;
  }
}

// The hidden state after a prefix.
inline std::array<float, 3> mock_hidden(uint64_t prefix) {
  std::array<float, 3> hidden;
  mock_logits(hidden, prefix + 1'000'000);
  return hidden;
}

class MockModel final : public ModelRunner {
 public:
  struct Knobs {
    std::atomic<int64_t> sleep_us = 0;  // per step
    std::atomic<int64_t> fail_at = -1;  // step number that throws
    std::atomic<int> fail_kind = static_cast<int>(ErrorKind::out_of_memory);
    std::atomic<bool> fail_hidden = false;  // hidden() throws, when the step's logits are taken
    std::atomic<int32_t> nan_token = -1;    // a sequence whose newest token is this gets NaN logits
    std::atomic<int64_t> n_steps = 0, n_rows = 0, most_rows = 0, most_logit_rows = 0;
    std::atomic<bool> check = true;
  };

  MockModel(
      int64_t n_blocks, int64_t block_size, int64_t vocab_size, Knobs& knobs, int n_threads = 1)
      : block_size_(block_size),
        vocab_size_(vocab_size),
        knobs_(knobs),
        tokens_(static_cast<size_t>(n_blocks * block_size), -1),
        chains_(tokens_.size()),
        pool_(n_threads) {}

  int64_t vocab_size() const override { return vocab_size_; }
  int n_threads() const override { return pool_.size(); }
  void for_each_row(int64_t n_rows, const RowBody& body) override {
    pool_.parallel_for(n_rows, body);
  }

  Tensor run(const Batch& batch, Tap* /*tap*/ = nullptr) override {
    const int64_t step = knobs_.n_steps++;
    knobs_.n_rows += batch.n_tokens();
    knobs_.most_rows = std::max<int64_t>(knobs_.most_rows, batch.n_tokens());
    if (knobs_.sleep_us > 0)
      std::this_thread::sleep_for(std::chrono::microseconds(knobs_.sleep_us));
    if (step == knobs_.fail_at)
      throw Error(static_cast<ErrorKind>(knobs_.fail_kind.load()), "mock");
    const auto n_logit_rows = static_cast<int64_t>(batch.logit_rows.size());
    knobs_.most_logit_rows = std::max<int64_t>(
        knobs_.most_logit_rows, n_logit_rows + static_cast<int64_t>(batch.hidden_rows.size()));
    logits_.resize(static_cast<size_t>(n_logit_rows * vocab_size_));
    hidden_.clear();
    size_t logit_row = 0;
    for (int64_t s = 0; s < batch.n_seqs(); ++s)
      run_sequence(batch, static_cast<size_t>(s), logit_row);
    EXPECT_EQ(logit_row, batch.logit_rows.size());
    EXPECT_EQ(hidden_.size(), batch.hidden_rows.size() * mock_hidden(0).size());
    return Tensor::view(logits_, {n_logit_rows, vocab_size_});
  }

  Tensor hidden() override {
    if (knobs_.fail_hidden) throw Error(ErrorKind::out_of_memory, "mock");
    const auto width = static_cast<int64_t>(mock_hidden(0).size());
    return Tensor::view(hidden_, {static_cast<int64_t>(hidden_.size()) / width, width});
  }

 private:
  void run_sequence(const Batch& batch, size_t s, size_t& logit_row) {
    const int32_t* table =
        batch.block_tables.data() + static_cast<int64_t>(s) * batch.max_blocks_per_seq;
    const auto slot_of = [&](int64_t position) {
      return static_cast<size_t>(table[position / block_size_] * block_size_ +
                                 position % block_size_);
    };
    const int32_t first = batch.cu_seqlens_q[s], end = batch.cu_seqlens_q[s + 1];
    const int64_t kv_len = batch.kv_lens[s];
    for (int32_t row = first; row < end; ++row) {
      const auto r = static_cast<size_t>(row);
      const int64_t position = batch.positions[r];
      EXPECT_EQ(position, kv_len - (end - row));
      const size_t slot = slot_of(position);
      EXPECT_EQ(static_cast<int64_t>(slot), batch.slot_mapping[r]);
      tokens_[slot] = batch.token_ids[r];
      chains_[slot] = chain_hash(position == 0 ? 0 : chains_[slot_of(position - 1)], tokens_[slot]);
      if (logit_row < batch.logit_rows.size() && batch.logit_rows[logit_row] == row) {
        const std::span<float> out(logits_.data() + logit_row * static_cast<size_t>(vocab_size_),
                                   static_cast<size_t>(vocab_size_));
        mock_logits(out, chains_[slot]);
        if (tokens_[slot] == knobs_.nan_token) out[7] = std::numeric_limits<float>::quiet_NaN();
        ++logit_row;
      }
      if (std::ranges::binary_search(batch.hidden_rows, row)) {
        for (const float x : mock_hidden(chains_[slot])) hidden_.push_back(x);
      }
    }
    if (!knobs_.check) return;
    uint64_t chain = 0;  // every key of the sequence must still be its own
    for (int64_t position = 0; position < kv_len; ++position) {
      chain = chain_hash(chain, tokens_[slot_of(position)]);
      ASSERT_EQ(chain, chains_[slot_of(position)]) << "position " << position << " of " << kv_len;
    }
  }

  int64_t block_size_, vocab_size_;
  Knobs& knobs_;
  std::vector<int32_t> tokens_;   // by slot
  std::vector<uint64_t> chains_;  // by slot
  std::vector<float> logits_, hidden_;
  ThreadPool pool_;
};

// What MockModel must generate for a request, without an engine.
inline std::vector<int32_t> mock_continuation(const Request& request,
                                              int64_t vocab_size,
                                              int64_t max_model_len,
                                              std::span<const int32_t> end_ids = {}) {
  Sampler sampler(vocab_size, vocab_size);
  std::vector<int32_t> tokens = request.prompt_ids, out;
  std::vector<float> logits(static_cast<size_t>(vocab_size));
  const auto n_prompt = static_cast<int64_t>(tokens.size());
  uint64_t chain = 0;
  for (const int32_t token : tokens) chain = chain_hash(chain, token);
  while (static_cast<int64_t>(tokens.size()) < max_model_len &&
         (request.sampling.max_tokens < 0 ||
          static_cast<int64_t>(out.size()) < request.sampling.max_tokens)) {
    mock_logits(logits, chain);
    const Sampled sampled = sampler.sample(logits,
                                           {.params = request.sampling,
                                            .tokens = tokens,
                                            .n_prompt = n_prompt,
                                            .end_ids = end_ids,
                                            .seed = request.sampling.seed.value_or(0)});
    tokens.push_back(sampled.token_id);
    out.push_back(sampled.token_id);
    chain = chain_hash(chain, sampled.token_id);
    if (std::ranges::find(end_ids, sampled.token_id) != end_ids.end()) break;
  }
  return out;
}

}  // namespace qwen3
