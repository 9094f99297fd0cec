#include "server/http/worker_pool.h"

#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <string>
#include <vector>

namespace qwen3::server {
namespace {

using Size = WorkerPool::Size;

// Work that runs until it is let go.
class Gate {
 public:
  std::function<void()> work() {
    return [this] {
      begun_.set_value();
      open_.get_future().wait();
    };
  }
  void wait_until_begun() { begun_.get_future().wait(); }
  void open() { open_.set_value(); }

 private:
  std::promise<void> begun_, open_;
};

class Order {
 public:
  std::function<void()> work(const std::string& name) {
    return [this, name] {
      const std::lock_guard lock(mutex_);
      names_.push_back(name);
    };
  }
  std::vector<std::string> names() {
    const std::lock_guard lock(mutex_);
    return names_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> names_;
};

void run(WorkerPool& pool, const std::string& owner, Size size) {
  std::promise<void> done;
  pool.submit(owner, size, [&] { done.set_value(); });
  done.get_future().wait();
}

TEST(WorkerPool, LargeWorkLeavesAWorkerForSmallWork) {
  WorkerPool pool(2);
  Gate large;
  pool.submit("a", Size::large, large.work());
  large.wait_until_begun();
  bool second = false;
  pool.submit("a", Size::large, [&] { second = true; });
  for (int i = 0; i < 10; ++i) run(pool, "a", Size::small);
  EXPECT_FALSE(second) << "one large work at a time";
  large.open();
  run(pool, "a", Size::large);
  EXPECT_TRUE(second);
}

TEST(WorkerPool, CountsTheLargeWorkThatWaits) {
  WorkerPool pool(2);
  Gate large;
  pool.submit("a", Size::large, large.work());
  large.wait_until_begun();
  EXPECT_EQ(pool.n_large_waiting(), 0);
  for (const char* owner : {"a", "a", "b"}) pool.submit(owner, Size::large, [] {});
  pool.submit("a", Size::small, [] {});
  EXPECT_EQ(pool.n_large_waiting(), 3);
  large.open();
  run(pool, "c", Size::large);  // the last of its round
  run(pool, "a", Size::large);
  EXPECT_EQ(pool.n_large_waiting(), 0);
}

TEST(WorkerPool, SmallWorkDoesNotKeepLargeWorkWaiting) {
  WorkerPool pool(2);
  Gate first, second;
  pool.submit("a", Size::small, first.work());
  pool.submit("a", Size::small, second.work());
  first.wait_until_begun();
  second.wait_until_begun();
  Order order;
  pool.submit("a", Size::large, order.work("large"));
  for (int i = 0; i < 20; ++i) pool.submit("a", Size::small, order.work("small"));
  first.open();  // one worker: the other is busy with small work still
  run(pool, "b", Size::small);
  EXPECT_EQ(order.names().front(), "large");
  second.open();
}

TEST(WorkerPool, ASingleWorkerTakesBothInTurns) {
  WorkerPool pool(1);
  Gate gate;
  pool.submit("a", Size::small, gate.work());
  gate.wait_until_begun();
  Order order;
  for (int i = 0; i < 3; ++i) pool.submit("a", Size::small, order.work("small"));
  for (int i = 0; i < 2; ++i) pool.submit("a", Size::large, order.work("large"));
  gate.open();
  std::promise<void> done;
  pool.submit("a", Size::small, [&] { done.set_value(); });
  done.get_future().wait();
  const std::vector<std::string> expected = {"large", "small", "large", "small", "small"};
  EXPECT_EQ(order.names(), expected);
}

TEST(WorkerPool, OwnersTakeTurns) {
  WorkerPool pool(1);
  Gate gate;
  pool.submit("z", Size::small, gate.work());
  gate.wait_until_begun();
  Order order;
  for (int i = 0; i < 3; ++i) pool.submit("many", Size::small, order.work("many"));
  pool.submit("few", Size::small, order.work("few"));
  pool.submit("other", Size::small, order.work("other"));
  gate.open();
  run(pool, "last", Size::small);
  const std::vector<std::string> begin = {"many", "few", "other"};
  const std::vector<std::string> names = order.names();
  ASSERT_GE(names.size(), 3u);
  EXPECT_EQ(std::vector<std::string>(names.begin(), names.begin() + 3), begin);
}

TEST(WorkerPool, DropsWhatWaitsWhenItStops) {
  Gate gate;
  bool ran = false;
  std::thread opener;
  {
    WorkerPool pool(1);
    pool.submit("a", Size::small, gate.work());
    gate.wait_until_begun();
    pool.submit("a", Size::small, [&] { ran = true; });
    opener = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      gate.open();
    });
    pool.stop();
  }
  opener.join();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace qwen3::server
