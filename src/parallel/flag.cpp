#include "parallel/flag.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace qwen3 {
namespace {

static_assert(std::atomic<uint32_t>::is_always_lock_free && sizeof(std::atomic<uint32_t>) == 4);

// About 50 µs, as the thread team spins (hardware/thread_pool.cpp).
constexpr int kSpinRounds = 4000;
constexpr int kYieldRounds = 200;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Between processes, so not FUTEX_PRIVATE, as std::atomic::wait is.
long futex(const std::atomic<uint32_t>& word, int operation, uint32_t value, const timespec* time) {
  return syscall(
      SYS_futex, reinterpret_cast<const uint32_t*>(&word), operation, value, time, nullptr, 0);
}

}  // namespace

void Flag::raise(uint32_t to) {
  count.store(to, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) > 0) wake(*this);
}

void wake(const Flag& flag) { futex(flag.count, FUTEX_WAKE, INT_MAX, nullptr); }

bool spin(const Flag& flag, uint32_t target, Spinning spinning) {
  for (int round = 0; spinning == Spinning::yes && round < kSpinRounds; ++round) {
    if (flag.reached(target)) return true;
    pause();
  }
  for (int round = 0; round < kYieldRounds; ++round) {
    if (flag.reached(target)) return true;
    sched_yield();
  }
  return flag.reached(target);
}

void sleep(const Flag& flag, uint32_t target, int milliseconds) {
  // The count is looked at after `sleepers` is raised: either this load sees the new count, or whoever
  // raised it sees the sleeper.
  flag.sleepers.fetch_add(1, std::memory_order_seq_cst);
  const uint32_t seen = flag.count.load(std::memory_order_seq_cst);
  if (static_cast<int32_t>(seen - target) < 0) {
    const timespec time{milliseconds / 1000, milliseconds % 1000 * 1'000'000L};
    futex(flag.count, FUTEX_WAIT, seen, &time);
  }
  flag.sleepers.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace qwen3
