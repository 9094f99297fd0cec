#include "engine/inbox.h"

#include <new>
#include <utility>

#include "base/error.h"

namespace qwen3 {
namespace {

// `fallback` is short enough to need no memory.
void assign_or_short(std::string& to, std::string_view text, const char* fallback) noexcept {
  try {
    to = text;
  } catch (const std::bad_alloc&) {
    to = fallback;
  }
}

}  // namespace

void Inbox::submit(std::unique_ptr<Sequence> sequence) {
  const std::lock_guard lock(mutex_);
  QWEN3_CHECK(closed_.empty(), ErrorKind::device, "engine: {}", closed_);
  QWEN3_CHECK(n_waiting_ < max_waiting_,
              ErrorKind::busy,
              "engine: the queue is full: {} requests are waiting; try again later",
              n_waiting_);
  const uint64_t id = sequence->id;
  const int64_t n_tokens = sequence->n_prompt;
  // An empty queue takes a prompt of any length, or the longest would never be served.
  QWEN3_CHECK(
      max_waiting_tokens_ == 0 || n_waiting_ == 0 ||
          n_tokens <= max_waiting_tokens_ - n_waiting_tokens_,
      ErrorKind::busy,
      "engine: the queue is full: prompts of {} tokens are waiting, this one has {}, the limit is "
      "{}; try again later",
      n_waiting_tokens_,
      n_tokens,
      max_waiting_tokens_);
  const auto place = live_.insert(id).first;
  try {
    commands_.submitted.push_back(std::move(sequence));
  } catch (...) {
    live_.erase(place);
    throw;
  }
  ++n_waiting_;
  n_waiting_tokens_ += n_tokens;
  changed_.notify_one();
}

void Inbox::cancel(uint64_t id) noexcept {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;  // everything is being cancelled anyway
  auto node = live_.extract(id);
  if (!node) return;
  commands_.cancelled.insert(std::move(node));
  changed_.notify_one();
}

bool Inbox::receive(Commands& commands, Wait wait) {
  commands.submitted.clear();
  commands.cancelled.clear();
  std::unique_lock lock(mutex_);
  const auto has_come = [&] {
    return stopped_ || !commands_.submitted.empty() || !commands_.cancelled.empty();
  };
  if (wait == Wait::yes) changed_.wait(lock, has_come);
  std::swap(commands, commands_);
  return !stopped_;
}

void Inbox::forget(uint64_t id) noexcept {
  const std::lock_guard lock(mutex_);
  live_.erase(id);
  commands_.cancelled.erase(id);
}

void Inbox::left_queue(int64_t n, int64_t n_tokens) {
  const std::lock_guard lock(mutex_);
  n_waiting_ -= n;
  n_waiting_tokens_ -= n_tokens;
}

void Inbox::close(std::string_view reason) noexcept {
  const std::lock_guard lock(mutex_);
  if (closed_.empty()) assign_or_short(closed_, reason, "it has failed");
}

void Inbox::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  if (closed_.empty()) assign_or_short(closed_, "it is shutting down", "it has ended");
  changed_.notify_one();
}

}  // namespace qwen3
