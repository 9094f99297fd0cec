// Inbox: how other threads talk to the engine thread. Shared by the engine and by every event
// stream, so that a stream may outlive its engine.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sequence.h"

namespace qwen3 {

// What arrived for the engine: first the new sequences, then who is to end.
struct Commands {
  std::vector<std::unique_ptr<Sequence>> submitted;
  std::set<uint64_t> cancelled;
};

class Inbox {
 public:
  // max_waiting_tokens: of all waiting prompts together; 0: no limit.
  Inbox(int64_t max_waiting, int64_t max_waiting_tokens)
      : max_waiting_(max_waiting), max_waiting_tokens_(max_waiting_tokens) {}

  // Throws Error: `busy` when the queue is full, `device` after close().
  void submit(std::unique_ptr<Sequence> sequence);
  // Does nothing for ids that have ended. Allocates nothing: destructors and those who are out of
  // memory call it.
  void cancel(uint64_t id) noexcept;

  // ---- the engine's side --------------------------------------------------------------------
  enum class Wait { yes, no };
  // Swaps the commands that arrived into `commands` (cleared before). With Wait::yes blocks until
  // there is one, or stop(). False after stop().
  bool receive(Commands& commands, Wait wait);
  // `n` sequences, of `n_tokens` prompt tokens together, began to run, or ended before.
  void left_queue(int64_t n, int64_t n_tokens);
  // A sequence has ended.
  void forget(uint64_t id) noexcept;
  // From now on submit() throws, giving this reason.
  void close(std::string_view reason) noexcept;
  void stop();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Commands commands_;
  // Sequences that have not ended, without those in commands_.cancelled: a cancellation moves the
  // node that was made when the sequence was submitted.
  std::set<uint64_t> live_;
  const int64_t max_waiting_, max_waiting_tokens_;
  int64_t n_waiting_ = 0, n_waiting_tokens_ = 0;
  bool stopped_ = false;
  std::string closed_;  // why; empty: open
};

}  // namespace qwen3
