// TimeSlice: what this thread does now may take so much of its processor's time and no more. Work that a small
// input can make long looks at the slice as it goes, however far below the one who set it. When the slice is over
// all is unwound, and who set it does the work again where it may take long.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace qwen3 {

class TimeSlice {
 public:
  // No std::exception: on its way nobody takes it for a failure of the work.
  struct Over {};

  // Begins, for this thread, until it is destroyed. One at a time.
  explicit TimeSlice(std::chrono::nanoseconds length);
  ~TimeSlice();
  TimeSlice(const TimeSlice&) = delete;

  // Throws Over. Outside of a slice nothing is ever over.
  static void check();
  // The same, looking at the clock once in a while: a unit is a few nanoseconds of work.
  static void spend(int64_t units) {
    if (current_ != nullptr && (current_->units_ += units) >= kUnitsPerLook) look();
  }
  // What is left of the slice; absent outside of one.
  static std::optional<std::chrono::nanoseconds> left();

 private:
  static constexpr int64_t kUnitsPerLook = 1 << 14;
  static void look();

  static thread_local TimeSlice* current_;
  const std::chrono::nanoseconds end_;  // by thread_time()
  int64_t units_ = 0;
};

}  // namespace qwen3
