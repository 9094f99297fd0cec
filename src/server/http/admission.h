// How many connections there may be, in all and from one network address. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "server/http/limits.h"
#include "server/http/socket_address.h"

namespace qwen3::server {

class Admission {
 public:
  explicit Admission(const ServerLimits& limits) : limits_(limits) {}

  enum class Verdict {
    serve,
    refuse,  // tell 503 and close
    drop,    // there are too many even to tell
  };
  // serve and refuse are matched by one release() each, which allocates nothing. Throws
  // std::bad_alloc, and then nothing is admitted.
  Verdict admit(const SocketAddress& remote);
  void release(const SocketAddress& remote, Verdict verdict) noexcept;

  int open() const;
  // Waits until no connection is left; false when `deadline` comes first or `interrupted` is true
  // after a notify().
  template <typename Predicate>
  bool wait_until_empty(std::chrono::steady_clock::time_point deadline, Predicate interrupted) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(
        lock, deadline, [&] { return n_served_ + n_refused_ == 0 || interrupted(); });
    return n_served_ + n_refused_ == 0;
  }
  void notify() {
    const std::lock_guard lock(mutex_);  // else a waiter between its look and its sleep misses it
    changed_.notify_all();
  }

 private:
  const ServerLimits& limits_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int n_served_ = 0;
  int n_refused_ = 0;
  std::map<std::string, int, std::less<>> per_network_;  // not for loopback
};

}  // namespace qwen3::server
