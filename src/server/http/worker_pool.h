// The few threads that run handlers, so that no parsing or rendering holds up a connection.
//
// Large work is done by one worker at a time, so that its memory can be planned (request_memory.h),
// and never by the last one that is free while small work waits: a short chat waits for no long
// body, and no stream of short chats keeps a long one waiting. Within a class the owners (keys, or
// addresses) take turns, so that one who sends much waits for itself. The queue is bounded by the
// number of connections, each of which has one request at a time.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace qwen3::server {

class WorkerPool {
 public:
  explicit WorkerPool(int n_threads);
  ~WorkerPool();  // stop()

  enum class Size { small, large };
  // `work` must not throw. Dropped after stop(). Throws std::bad_alloc, having changed nothing.
  void submit(const std::string& owner, Size size, std::function<void()> work);
  // Large work that waits.
  int n_large_waiting() const;
  // Waits for what runs, drops what waits.
  void stop();

 private:
  using Work = std::function<void()>;
  // Owners in the order of their turns; each with its work in the order in which it came.
  class Turns {
   public:
    bool empty() const { return owners_.empty(); }
    int size() const { return n_works_; }
    void push(const std::string& owner, Work work);
    Work pop();  // REQUIRES: not empty

   private:
    struct Owner {
      std::string name;
      std::deque<Work> works;
    };
    std::list<Owner> owners_;
    int n_works_ = 0;
  };

  void run();
  // What this worker is to do next; empty when the pool stops.
  Work wait_for_work(Size& size);
  void done(Size size);
  bool may_start_large() const;

  const int n_threads_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Under mutex_.
  Turns small_, large_;
  int n_doing_small_ = 0;
  bool doing_large_ = false;
  bool small_was_last_ = false;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace qwen3::server
