// The clock of everything that is measured or waited for: nobody sets it.
#pragma once

#include <chrono>
#include <ctime>

namespace qwen3 {

using Clock = std::chrono::steady_clock;

// What this thread has had of its processor: a budget of it refuses nothing because a machine is busy.
inline std::chrono::nanoseconds thread_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace qwen3
