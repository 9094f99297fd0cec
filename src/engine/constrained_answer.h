// ConstrainedAnswer: a request's TokenConstraint as the engine keeps it. What may come next is worked out
// beside the forward pass by whoever comes first:
//
//   row thread     accept ── wanted ───────────────────────── allowed() ── sample ── accept ─ …
//   worker                      └─ claimed ─ prepare ─ ready ──┘
//
// One compare-and-swap claims the work; a row that comes before the worker does it itself, and one that
// finds it being done waits for the end of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "engine/allowed_tokens.h"
#include "qwen3/constraint.h"

namespace qwen3 {

class ConstrainedAnswer {
 public:
  struct Facts {
    int64_t vocab_size = 0, n_real_tokens = 0;
    std::vector<int32_t> eos_ids = {};  // allowed where the answer may end, and nowhere else
    std::vector<int32_t> stop_ids =
        {};  // of the request: where it may end, and where the constraint allows them
    int64_t min_tokens = 0;
  };

  // `before`: what the answer has of an earlier life.
  ConstrainedAnswer(std::shared_ptr<TokenConstraint> constraint,
                    Facts facts,
                    std::span<const int32_t> before);

  // Works out what may come next if that is wanted and nobody does it. Any thread.
  void prepare() noexcept;
  bool is_ready() const { return state_.load(std::memory_order_acquire) == State::ready; }
  // What may come next. Throws what the constraint threw. Valid until accept().
  const AllowedTokens& allowed();

  // The token that was chosen of them, not one that ends the answer. True when nothing can follow. What comes
  // next is wanted from now on. REQUIRES: allowed() was asked before.
  bool accept(int32_t token_id);

  // Whether it waits for a worker; true when it did not before. For ConstraintWorkers.
  bool enqueue() { return !queued_.exchange(true, std::memory_order_acq_rel); }
  void dequeue() { queued_.store(false, std::memory_order_release); }

 private:
  enum class State { wanted, claimed, ready };

  void work_out();
  void set_everything(bool may_end);
  void set_mask(bool may_end);
  void set_one(int32_t id, bool may_end);
  void gather();
  bool too_short() const { return n_accepted_ < facts_.min_tokens; }

  const std::shared_ptr<TokenConstraint> constraint_;
  const Facts facts_;
  std::vector<int32_t> end_ids_;  // both kinds, ascending
  std::vector<int32_t> before_;   // until they are replayed
  int64_t n_accepted_ = 0;
  AllowedTokens allowed_;
  std::exception_ptr thrown_;
  std::atomic<State> state_ = State::wanted;
  std::atomic<bool> queued_ = false;
};

}  // namespace qwen3
