// How a loop runs: everything a thread needs to claim work sits in one 64-bit word,
//
//   ticket = [ loop number : 16 | n_tasks : 24 | next task : 24 ]
//
// and a claim is one fetch_add. The word that the claim returns says by itself whether the claim is
// good (next < n_tasks), so a worker that arrives late, even loops later, can never run a task
// twice or take one from a loop it has not seen: a good claim keeps its loop open, and while a loop
// is open its function and context do not change. Over-claims are harmless: each thread makes at
// most one per loop, and the field has room for kMaxThreads of them.
//
// How a worker waits: it spins on the ticket for kSpinRounds, then sleeps on `signal`. The caller
// wakes sleepers only if there are any, so a loop on an awake team makes no system call.
#include "hardware/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "base/error.h"
#include "hardware/cpu_info.h"

namespace qwen3 {

int team_size(int wanted) {
  QWEN3_CHECK(wanted >= 0 && wanted <= 4096,
              ErrorKind::invalid_argument,
              "threads: expected 0 (all cores) to 4096, got {}",
              wanted);
  return wanted == 0 ? cpu_info().n_cores : wanted;
}
namespace {

constexpr int kCountBits = 24;
constexpr uint64_t kCountMask = (uint64_t{1} << kCountBits) - 1;
constexpr int kMaxThreads = 1024;
// A longer loop runs as several; the slack is the room for over-claims.
constexpr int64_t kMaxTasks = static_cast<int64_t>(kCountMask) - kMaxThreads;

// One pause takes about 44 cycles on Zen 4, so 4,000 rounds are about 50 µs: longer than the work
// between two loops of a decode step (norms, activations: 0.1 to 5 µs), shorter than a scheduler's
// time slice. AMD EPYC (Zen 4), 2 cores, 2026-11-24.
constexpr int kSpinRounds = 4000;
// The caller gives up its time slice this often while it waits for the last tasks: on a machine
// shared with others the worker may be waiting for the very core that the caller spins on.
constexpr int kYieldRounds = 1000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

constexpr uint64_t next_task(uint64_t ticket) { return ticket & kCountMask; }
constexpr uint64_t n_tasks_of(uint64_t ticket) { return ticket >> kCountBits & kCountMask; }
constexpr uint64_t loop_of(uint64_t ticket) { return ticket >> (2 * kCountBits); }

}  // namespace

struct ThreadPool::Team {
  // Each of these on its own cache line: the first is written by every claim, the second by every
  // thread once per loop, the third almost never.
  alignas(64) std::atomic<uint64_t> ticket{0};
  alignas(64) std::atomic<int64_t> n_done{0};
  alignas(64) std::atomic<uint32_t> signal{0};
  std::atomic<int> n_sleeping{0};
  std::atomic<bool> stop{false};

  // Written only while no loop is open.
  alignas(64) Function function = nullptr;
  void* context = nullptr;
  int64_t first_task = 0;

  int spin_rounds = kSpinRounds;
  std::vector<std::thread> workers;

  // Here and not in ~ThreadPool, so that a constructor that cannot start all threads ends the
  // others.
  ~Team() {
    stop.store(true, std::memory_order_seq_cst);
    wake();
    for (std::thread& worker : workers) worker.join();
  }

  // Claims and runs tasks until the loop has none left; returns the number of the loop looked at.
  uint64_t work(int thread) {
    int64_t done = 0;
    for (;;) {
      const uint64_t claim = ticket.fetch_add(1, std::memory_order_acq_rel);
      if (next_task(claim) >= n_tasks_of(claim)) {
        if (done > 0) n_done.fetch_add(done, std::memory_order_release);
        return loop_of(claim);
      }
      function(context, first_task + static_cast<int64_t>(next_task(claim)), thread);
      ++done;
    }
  }

  // Waits until a loop other than `seen` is open or the team stops. Returns false to stop.
  bool wait_for_loop(uint64_t seen) {
    for (int round = 0; round < spin_rounds; ++round) {
      if (loop_of(ticket.load(std::memory_order_acquire)) != seen) return true;
      if (stop.load(std::memory_order_relaxed)) return false;
      pause();
    }
    for (;;) {
      const uint32_t before = signal.load(std::memory_order_acquire);
      n_sleeping.fetch_add(1, std::memory_order_seq_cst);
      // The loop must be looked for after n_sleeping is raised: either this load sees the loop, or
      // the caller's load of n_sleeping sees this sleeper.
      const bool open = loop_of(ticket.load(std::memory_order_seq_cst)) != seen;
      const bool stopping = stop.load(std::memory_order_seq_cst);
      if (!open && !stopping) signal.wait(before, std::memory_order_acquire);
      n_sleeping.fetch_sub(1, std::memory_order_relaxed);
      if (stopping) return false;
      if (open) return true;
    }
  }

  void wake() {
    signal.fetch_add(1, std::memory_order_seq_cst);
    signal.notify_all();
  }

  void run_worker(int thread) {
    uint64_t seen = 0;
    while (wait_for_loop(seen)) seen = work(thread);
  }
};

ThreadPool::ThreadPool(int n_threads) : team_(std::make_unique<Team>()), n_threads_(n_threads) {
  QWEN3_CHECK(n_threads >= 1 && n_threads <= kMaxThreads,
              ErrorKind::invalid_argument,
              "threads: number of threads; expected 1 to {}; got {}",
              kMaxThreads,
              n_threads);
  // More threads than cores: a spinning worker would only keep a working one off its core.
  if (n_threads > cpu_info().n_cores) team_->spin_rounds = 0;
  team_->workers.reserve(static_cast<size_t>(n_threads - 1));
  for (int thread = 1; thread < n_threads; ++thread) {
    team_->workers.emplace_back([team = team_.get(), thread] { team->run_worker(thread); });
  }
}

ThreadPool::~ThreadPool() = default;

void ThreadPool::run(int64_t n_tasks, Function function, void* context) {
  Team& team = *team_;
  for (int64_t first = 0; first < n_tasks; first += kMaxTasks) {
    const int64_t count = std::min(kMaxTasks, n_tasks - first);
    team.function = function;
    team.context = context;
    team.first_task = first;
    team.n_done.store(0, std::memory_order_relaxed);
    const uint64_t loop = loop_of(team.ticket.load(std::memory_order_relaxed)) + 1;
    team.ticket.store((loop << kCountBits | static_cast<uint64_t>(count)) << kCountBits,
                      std::memory_order_seq_cst);
    if (team.n_sleeping.load(std::memory_order_seq_cst) > 0) team.wake();

    team.work(0);
    for (int round = 1; team.n_done.load(std::memory_order_acquire) != count; ++round) {
      if (round % kYieldRounds == 0) {
        sched_yield();
      } else {
        pause();
      }
    }
  }
}

}  // namespace qwen3
