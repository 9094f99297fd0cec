#include "base/time_slice.h"

#include "base/clock.h"
#include "base/error.h"

namespace qwen3 {

thread_local TimeSlice* TimeSlice::current_ = nullptr;

TimeSlice::TimeSlice(std::chrono::nanoseconds length) : end_(thread_time() + length) {
  QWEN3_CHECK(current_ == nullptr, ErrorKind::internal, "a slice of time within another");
  current_ = this;
}

TimeSlice::~TimeSlice() { current_ = nullptr; }

void TimeSlice::check() {
  if (current_ != nullptr && thread_time() > current_->end_) throw Over{};
}

void TimeSlice::look() {
  current_->units_ = 0;
  check();
}

std::optional<std::chrono::nanoseconds> TimeSlice::left() {
  if (current_ == nullptr) return std::nullopt;
  return current_->end_ - thread_time();
}

}  // namespace qwen3
