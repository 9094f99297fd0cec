// Inbox: how other threads talk to the engine thread. Shared by the engine and by every event
// stream, so that a stream may outlive its engine.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/sequence.h"

namespace qwen3 {

struct Command {
  std::unique_ptr<Sequence> submitted;  // null: cancel `id`
  uint64_t id = 0;
};

class Inbox {
 public:
  // max_waiting_tokens: of all waiting prompts together; 0: no limit.
  Inbox(int64_t max_waiting, int64_t max_waiting_tokens)
      : max_waiting_(max_waiting), max_waiting_tokens_(max_waiting_tokens) {}

  // Throws Error: `busy` when the queue is full, `device` after close().
  void submit(std::unique_ptr<Sequence> sequence);
  // Does nothing for ids that have ended.
  void cancel(uint64_t id);

  // ---- the engine's side --------------------------------------------------------------------
  enum class Wait { yes, no };
  // Swaps the commands that arrived into `commands` (cleared before). With Wait::yes blocks until
  // there is one, or stop(). False after stop().
  bool receive(std::vector<Command>& commands, Wait wait);
  // `n` sequences, of `n_tokens` prompt tokens together, began to run, or ended before.
  void left_queue(int64_t n, int64_t n_tokens);
  // From now on submit() throws, giving this reason.
  void close(const std::string& reason);
  void stop();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Command> commands_;
  const int64_t max_waiting_, max_waiting_tokens_;
  int64_t n_waiting_ = 0, n_waiting_tokens_ = 0;
  bool stopped_ = false;
  std::string closed_;  // why; empty: open
};

}  // namespace qwen3
