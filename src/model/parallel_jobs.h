// A list of independent jobs shared by a few threads: for loading, where jobs take milliseconds and
// may throw. (The backends' loops of microseconds use hardware/thread_pool.h.)
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace qwen3 {

// Calls body(job, thread) once for every job in [0, n_jobs), in ascending order of starting, on
// n_threads threads of which the caller is thread 0, and tick() on the caller after each of its
// own. The first exception out of either stops the rest and is thrown again here.
template <typename Body, typename Tick>
void run_jobs(int64_t n_jobs, int n_threads, Body&& body, Tick&& tick) {
  std::atomic<int64_t> next{0};
  std::exception_ptr error;
  std::mutex error_mutex;
  const auto work = [&](int thread) {
    try {
      for (int64_t job = next.fetch_add(1); job < n_jobs; job = next.fetch_add(1)) {
        body(job, thread);
        if (thread == 0) tick();
      }
    } catch (...) {
      next.store(n_jobs);
      const std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> workers;  // joined at the end of this block
    for (int thread = 1; thread < n_threads && thread < n_jobs; ++thread) {
      workers.emplace_back(work, thread);
    }
    work(0);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace qwen3
