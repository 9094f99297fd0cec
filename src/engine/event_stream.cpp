#include "engine/event_stream.h"

#include <new>
#include <utility>

namespace qwen3 {

void EventStream::State::push(const Event& event) {
  const std::lock_guard lock(mutex);
  try {
    events.push_back(event);
  } catch (const std::bad_alloc&) {
    lost = true;
    arrived.notify_one();
    throw;
  }
  arrived.notify_one();
}

std::optional<Event> EventStream::State::pop(std::optional<std::chrono::milliseconds> patience) {
  if (finished) return std::nullopt;
  if (next == taken.size()) {
    taken.clear();
    next = 0;
    const auto has_come = [this] { return !events.empty() || lost; };
    std::unique_lock lock(mutex);
    if (!patience) {
      arrived.wait(lock, has_come);
    } else if (!arrived.wait_for(lock, *patience, has_come)) {
      return std::nullopt;
    }
    std::swap(taken, events);
    if (taken.empty()) {
      finished = true;
      throw Error(ErrorKind::out_of_memory, "engine: no memory for an event of this request");
    }
  }
  Event event = std::move(taken[next++]);
  finished = event.finish.has_value();
  return event;
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
  return state_ == nullptr ? std::nullopt : state_->pop(std::nullopt);
}

std::optional<Event> EventStream::next_for(std::chrono::milliseconds patience) {
  return state_ == nullptr ? std::nullopt : state_->pop(patience);
}

}  // namespace qwen3
