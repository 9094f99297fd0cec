#include "hardware/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

#include "qwen3/error.h"

namespace qwen3 {
namespace {

TEST(ThreadPool, RunsEveryTaskExactlyOnce) {
  for (const int n_threads : {1, 2, 3, 8}) {
    ThreadPool pool(n_threads);
    for (const int64_t n_tasks : {0, 1, 2, 7, 1000}) {
      std::vector<int> count(static_cast<size_t>(n_tasks), 0);
      pool.parallel_for(n_tasks, [&](int64_t task, int) { ++count[static_cast<size_t>(task)]; });
      EXPECT_EQ(count, std::vector<int>(static_cast<size_t>(n_tasks), 1)) << n_threads;
    }
  }
}

// Many short loops back to back: a worker that comes late to one loop must not disturb the next.
// Plain (not atomic) writes: under ThreadSanitizer this also proves that a loop's writes are
// visible to the caller and to the following loop.
TEST(ThreadPool, LoopsFollowEachOtherWithoutLosingTasks) {
  ThreadPool pool(3);
  std::vector<int64_t> values(17, 0);
  constexpr int64_t kLoops = 20000;
  for (int64_t loop = 0; loop < kLoops; ++loop) {
    const int64_t n_tasks = 2 + loop % 16;
    pool.parallel_for(n_tasks,
                      [&](int64_t task, int) { values[static_cast<size_t>(task)] += loop; });
  }
  for (int64_t task = 0; task < 17; ++task) {
    int64_t expected = 0;
    for (int64_t loop = 0; loop < kLoops; ++loop) {
      if (task < 2 + loop % 16) expected += loop;
    }
    EXPECT_EQ(values[static_cast<size_t>(task)], expected) << task;
  }
}

TEST(ThreadPool, ThreadNumbersAreSmallAndDistinctPerThread) {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> busy(4);
  std::atomic<bool> clash{false};
  pool.parallel_for(500, [&](int64_t, int thread) {
    if (thread < 0 || thread >= 4 || busy[static_cast<size_t>(thread)].fetch_add(1) != 0)
      clash = true;
    busy[static_cast<size_t>(thread)].fetch_sub(1);
  });
  EXPECT_FALSE(clash);
}

TEST(ThreadPool, WakesWorkersThatFellAsleep) {
  ThreadPool pool(2);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    // Two tasks that wait for each other: only two awake threads can finish them.
    std::atomic<int> arrived{0};
    pool.parallel_for(2, [&](int64_t, int) {
      arrived.fetch_add(1);
      while (arrived.load() < 2) std::this_thread::yield();
    });
    EXPECT_EQ(arrived, 2);
  }
}

TEST(ThreadPool, IdlePoolUsesNoProcessorTime) {
  ThreadPool pool(2);
  pool.parallel_for(8, [](int64_t, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::clock_t begin = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  EXPECT_LT(seconds, 0.05);
}

TEST(ThreadPool, DestroysIdleAndFreshPools) {
  for (int i = 0; i < 200; ++i) {
    ThreadPool pool(3);
    if (i % 2 == 0) pool.parallel_for(3, [](int64_t, int) {});
  }
}

TEST(ThreadPool, RefusesAbsurdSizes) {
  EXPECT_THROW(ThreadPool(0), Error);
  EXPECT_THROW(ThreadPool(-1), Error);
  EXPECT_THROW(ThreadPool(1 << 20), Error);
}

}  // namespace
}  // namespace qwen3
