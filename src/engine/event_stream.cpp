#include "engine/event_stream.h"

#include <utility>

namespace qwen3 {

void EventStream::State::push(const Event& event) {
  const std::lock_guard lock(mutex);
  events.push_back(event);
  arrived.notify_one();
}

EventStream::EventStream(std::shared_ptr<State> state) : state_(std::move(state)) {}
EventStream::EventStream(EventStream&&) noexcept = default;

EventStream& EventStream::operator=(EventStream&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

EventStream::~EventStream() {
  if (state_ != nullptr && !state_->finished) state_->inbox->cancel(state_->id);
}

void EventStream::cancel() {
  if (state_ != nullptr) state_->inbox->cancel(state_->id);
}

std::optional<Event> EventStream::next() {
  if (state_ == nullptr || state_->finished) return std::nullopt;
  State& s = *state_;
  if (s.next == s.taken.size()) {
    s.taken.clear();
    s.next = 0;
    std::unique_lock lock(s.mutex);
    s.arrived.wait(lock, [&] { return !s.events.empty(); });
    std::swap(s.taken, s.events);
  }
  Event event = std::move(s.taken[s.next++]);
  s.finished = event.finish.has_value();
  return event;
}

}  // namespace qwen3
