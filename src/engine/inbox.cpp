#include "engine/inbox.h"

#include <utility>

#include "base/error.h"

namespace qwen3 {

void Inbox::submit(std::unique_ptr<Sequence> sequence) {
  const std::lock_guard lock(mutex_);
  QWEN3_CHECK(closed_.empty(), ErrorKind::device, "engine: {}", closed_);
  QWEN3_CHECK(n_waiting_ < max_waiting_,
              ErrorKind::busy,
              "engine: the queue is full: {} requests wait; try again later",
              n_waiting_);
  const uint64_t id = sequence->id;
  const int64_t n_tokens = sequence->n_prompt;
  // An empty queue takes a prompt of any length, or the longest would never be served.
  QWEN3_CHECK(max_waiting_tokens_ == 0 || n_waiting_ == 0 ||
                  n_tokens <= max_waiting_tokens_ - n_waiting_tokens_,
              ErrorKind::busy,
              "engine: the queue is full: prompts of {} tokens wait, this one has {}, the limit is "
              "{}; try again later",
              n_waiting_tokens_,
              n_tokens,
              max_waiting_tokens_);
  commands_.push_back({std::move(sequence), id});
  ++n_waiting_;
  n_waiting_tokens_ += n_tokens;
  changed_.notify_one();
}

void Inbox::cancel(uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;  // everything is being cancelled anyway
  commands_.push_back({nullptr, id});
  changed_.notify_one();
}

bool Inbox::receive(std::vector<Command>& commands, Wait wait) {
  commands.clear();
  std::unique_lock lock(mutex_);
  if (wait == Wait::yes) changed_.wait(lock, [&] { return stopped_ || !commands_.empty(); });
  std::swap(commands, commands_);
  return !stopped_;
}

void Inbox::left_queue(int64_t n, int64_t n_tokens) {
  const std::lock_guard lock(mutex_);
  n_waiting_ -= n;
  n_waiting_tokens_ -= n_tokens;
}

void Inbox::close(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (closed_.empty()) closed_ = reason;
}

void Inbox::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  if (closed_.empty()) closed_ = "it is shutting down";
  changed_.notify_one();
}

}  // namespace qwen3
