// A persistent team of threads for fork-join loops of microseconds.
//
// The caller takes part as thread 0. Workers spin for a short while after a loop and then sleep, so
// that a decode step with hundreds of loops never enters the kernel and an idle process costs
// nothing. One loop at a time: the pool belongs to the thread that runs the model.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace qwen3 {

// How many threads a team has when a person asks for `wanted`: 0 means all cores. Throws
// Error{invalid_argument} beyond 0 to 4096.
int team_size(int wanted);

class ThreadPool {
 public:
  // n_threads >= 1, counting the caller.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_threads_; }

  // Calls body(task, thread) for every task in [0, n_tasks), thread in [0, size()). Tasks are
  // claimed one by one, so a slow core takes fewer. Returns when all are done; their writes are
  // visible to the caller. `body` must not throw and must not call parallel_for.
  template <typename Body>
  void parallel_for(int64_t n_tasks, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    if (n_threads_ == 1 || n_tasks <= 1) {
      for (int64_t task = 0; task < n_tasks; ++task) body(task, 0);
      return;
    }
    run(
        n_tasks,
        [](void* context, int64_t task, int thread) {
          (*static_cast<Plain*>(context))(task, thread);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Function = void (*)(void* context, int64_t task, int thread);
  void run(int64_t n_tasks, Function function, void* context);

  struct Team;
  std::unique_ptr<Team> team_;
  int n_threads_;
};

}  // namespace qwen3
