// Flag: a count in shared memory that one rank raises and others wait for.
//
// Whoever waits spins for about 50 µs, longer than ranks of a step are apart, then gives its core away a
// few times, and then sleeps in the kernel, so that an idle group costs nothing. Whoever raises makes a
// system call only if somebody sleeps. Counts wrap; what is compared is how far they are apart.
#pragma once

#include <atomic>
#include <cstdint>

namespace qwen3 {

struct alignas(64) Flag {
  std::atomic<uint32_t> count{0};
  mutable std::atomic<uint32_t> sleepers{0};

  bool reached(uint32_t target) const {
    return static_cast<int32_t>(count.load(std::memory_order_acquire) - target) >= 0;
  }
  // What was written before is seen by whoever sees the new count. Only its owner raises a flag.
  void raise(uint32_t to);
};

enum class Spinning { yes, no };  // no: there are more threads than cores

// Whether the flag is reached after a short wait: spinning, if there are cores for it, and yielding.
bool spin(const Flag& flag, uint32_t target, Spinning spinning);
// Sleeps until the flag is raised, or for `milliseconds`.
void sleep(const Flag& flag, uint32_t target, int milliseconds);
// Wakes whoever sleeps, to look at something else.
void wake(const Flag& flag);

}  // namespace qwen3
