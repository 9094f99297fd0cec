// The few threads that run handlers, so that no parsing or rendering holds up a connection. The
// queue is bounded by the number of connections, each of which has one request at a time.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace qwen3::server {

class WorkerPool {
 public:
  explicit WorkerPool(int n_threads);
  ~WorkerPool();  // stop()

  // `work` must not throw. Dropped after stop(). Throws std::bad_alloc, having changed nothing.
  void submit(std::function<void()> work);
  // Waits for what runs, drops what waits.
  void stop();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace qwen3::server
