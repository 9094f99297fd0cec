// One seed, one history: a few dozen requests of random kinds come, are cancelled, run out of time,
// throw, fail with their step, under a clock that only the history moves, on an engine without a
// thread. Everything is determined by the seed. Told afterwards what each request heard, check()
// says which promise was broken.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mix64.h"
#include "engine/engine_core.h"

namespace qwen3::simulation {

inline constexpr int64_t kVocab = 16;

inline uint64_t next_chain(uint64_t chain, int32_t token) {
  return mix64(chain ^ (static_cast<uint64_t>(token) + 1));
}
inline int32_t likeliest(uint64_t chain) { return static_cast<int32_t>(chain % kVocab); }
inline uint64_t chain_of(const std::vector<int32_t>& tokens, size_t n) {
  uint64_t chain = 0;
  for (size_t i = 0; i < n; ++i) chain = next_chain(chain, tokens[i]);
  return chain;
}

// Its "keys" are hashes of the whole prefix: a wrong slot, table or shared block changes a token.
class Runner final : public ModelRunner {
 public:
  explicit Runner(const SchedulerOptions& o)
      : block_size_(o.block_size),
        max_batch_tokens_(o.max_batch_tokens),
        max_logit_rows_(o.max_logit_rows),
        chains_(static_cast<size_t>(o.n_blocks * o.block_size)) {}

  int64_t vocab_size() const override { return kVocab; }

  Tensor run(const Batch& batch, Tap*) override {
    if (fail_next) {
      const ErrorKind kind = *fail_next;
      fail_next.reset();
      throw Error(kind, "the device failed");
    }
    if (batch.n_tokens() > max_batch_tokens_ ||
        static_cast<int64_t>(batch.logit_rows.size() + batch.hidden_rows.size()) >
            max_logit_rows_) {
      throw std::logic_error("a batch beyond the limits");
    }
    const float zero = damage_next ? std::numeric_limits<float>::quiet_NaN() : 0.0f;
    damage_next = false;
    logits_.assign(batch.logit_rows.size() * kVocab, zero);
    hidden_.clear();
    size_t logit_row = 0, hidden_row = 0;
    for (size_t s = 0; s < batch.kv_lens.size(); ++s) {
      const int32_t* table =
          batch.block_tables.data() + static_cast<int64_t>(s) * batch.max_blocks_per_seq;
      for (int32_t row = batch.cu_seqlens_q[s]; row < batch.cu_seqlens_q[s + 1]; ++row) {
        const auto r = static_cast<size_t>(row);
        const uint64_t chain = next_chain(before(table, batch.positions[r]), batch.token_ids[r]);
        chains_[static_cast<size_t>(batch.slot_mapping[r])] = chain;
        if (logit_row < batch.logit_rows.size() && batch.logit_rows[logit_row] == row) {
          logits_[logit_row++ * kVocab + static_cast<size_t>(likeliest(chain))] = 1.0f;
        }
        if (hidden_row < batch.hidden_rows.size() && batch.hidden_rows[hidden_row] == row) {
          ++hidden_row;
          hidden_.push_back(static_cast<float>(chain % 4096));
        }
      }
    }
    return Tensor::view(logits_, {static_cast<int64_t>(batch.logit_rows.size()), kVocab});
  }

  Tensor hidden() override {
    return Tensor::view(hidden_, {static_cast<int64_t>(hidden_.size()), 1});
  }

  std::optional<ErrorKind> fail_next;
  bool damage_next = false;  // the logits of the next step are NaN

 private:
  uint64_t before(const int32_t* table, int64_t position) const {
    if (position-- == 0) return 0;
    return chains_[static_cast<size_t>(table[position / block_size_] * block_size_ +
                                       position % block_size_)];
  }

  int64_t block_size_, max_batch_tokens_, max_logit_rows_;
  std::vector<uint64_t> chains_;  // by slot
  std::vector<float> logits_, hidden_;
};

// What one request asked for and heard.
struct Story {
  Request request;
  bool throws_in_callback = false, throws_in_processor = false;
  uint64_t id = 0;
  int64_t arrived = 0;     // turns
  int64_t cancelled = -1;  // -1: never
  int64_t last_turn = -1;  // of the last event
  int64_t n_last = 0;      // finishing events
  bool threw = false;      // its callback did
  std::vector<int32_t> ids;
  std::vector<PromptLogprobs> prompt_logprobs;
  std::vector<float> embedding;
  Event last;

  bool ended() const { return n_last > 0 || threw; }
};

class History {
 public:
  explicit History(uint64_t seed);
  // Empty: every promise was kept. Else what was broken.
  std::string run();

 private:
  static constexpr int64_t kTick = 1000;  // of the clock, per turn
  uint64_t draw(uint64_t n) { return mix64(state_++ * 0x9E3779B97F4A7C15 + seed_) % n; }
  bool one_in(uint64_t n) { return draw(n) == 0; }
  Clock::time_point at(int64_t turn) const {
    return Clock::time_point(std::chrono::seconds(turn * kTick));
  }
  Request random_request(Story& story);
  void submit();
  void hear(Story& story, const Event& event);
  void act();
  std::string check_turn() const;
  std::string check(const Story& story) const;
  std::string check_tokens(const Story& story) const;
  std::string check_order() const;
  std::string check_queue_is_empty();
  int64_t admitted(const Story& story) const;
  bool ran(const Story& story) const;

  const uint64_t seed_;
  uint64_t state_ = 0;
  CoreOptions options_;
  int64_t turn_ = 1;
  int64_t n_to_come_ = 0;
  bool flood_ = false;  // ever new users ask for little, beside one who asked for much
  bool closed_ = false;
  std::vector<int64_t> failed_turns_;
  std::vector<std::unique_ptr<Story>> stories_;  // accepted, in the order of arrival
  Runner* runner_ = nullptr;
  std::unique_ptr<EngineCore> core_;
};

// Empty, or which promise the history of this seed saw broken.
inline std::string simulate(uint64_t seed) { return History(seed).run(); }

}  // namespace qwen3::simulation
