// One I/O thread: an event loop, the residents that live on it (connections), and a tick that lets
// each check its deadlines. A resident is touched by its lane's thread only; other threads reach it
// through post() and wake().
//
// Out of memory: what must happen for the server to go on and to stop (the tick, wake(),
// call_later(), run_and_wait()) allocates nothing. A call of a resident that throws is followed by
// its on_failure(), and by nothing else: the thread and the other residents never notice.
//
// The only file that knows Boost.Asio is lane.cpp.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace qwen3::server {

// What a lane calls. All on the lane's thread.
class Resident {
 public:
  virtual ~Resident() = default;
  virtual void on_readable() {}
  virtual void on_writable() {}
  virtual void on_broken() {}  // reset, or closed in both directions
  virtual void on_wake() {}
  virtual void on_later() {}                  // see Lane::call_later
  virtual void on_tick(Clock::time_point) {}  // by Lane::now()
  // One of the above threw half-way, so what this resident knows of itself may be wrong. It must
  // end, or start over, without allocating.
  virtual void on_failure() noexcept = 0;

 private:
  friend class Lane;
  size_t lane_index_ = 0;
  // Queues of the lane are chained through the residents, so that joining one cannot fail.
  std::shared_ptr<Resident> next_woken_, next_later_;
  bool woken_ = false, later_ = false;  // in that queue
};

class Lane {
 public:
  // Starts the thread. `tick` is the resolution of deadlines.
  explicit Lane(std::chrono::milliseconds tick);
  ~Lane();  // stop()

  // Any thread. An exception that escapes `work` ends that work only. Throws std::bad_alloc.
  void post(std::function<void()> work);
  // Any thread: calls on_wake(), once for any number of calls before it. Does nothing if the
  // resident is gone.
  void wake(const std::weak_ptr<Resident>& resident) noexcept;
  // Runs `work` on the lane's thread and waits for it. Not from that thread itself.
  void run_and_wait(const std::function<void()>& work);
  // Ends the loop and joins the thread; what is still posted is destroyed unrun.
  void stop();

  // The lane's thread only.
  void add(std::shared_ptr<Resident> resident);
  void remove(Resident& resident) noexcept;
  // The clock of deadlines: it leaves out what the process slept through (SIGSTOP, a frozen
  // container, a virtual machine on its way to another host), so that a client is not blamed for
  // what nobody could read or send. It goes on while the lane has residents.
  Clock::time_point now() noexcept;
  // Calls on_later() on the next tick.
  void call_later(std::shared_ptr<Resident> resident) noexcept;
  // `visit` may remove the resident that it is given, no other.
  void each(const std::function<void(Resident&)>& visit);
  // Scratch for one read; its contents do not survive a return to the loop.
  std::span<char> scratch() { return scratch_; }

  // Any call of a resident's goes through this.
  template <typename Call>
  static void guard(Resident& resident, Call&& call) noexcept {
    try {
      call();
    } catch (...) {
      resident.on_failure();
    }
  }

 private:
  friend class Watch;
  struct Loop;
  struct Errand;
  void run();
  void run_some();
  void wait_for_work();
  bool needs_ticks() const { return !residents_.empty() || later_ != nullptr; }
  void begin_ticks() noexcept;
  void tick();
  void call_woken();
  void run_errands();
  void call_those_later();

  std::unique_ptr<Loop> loop_;
  std::chrono::milliseconds tick_;
  Clock::time_point next_tick_;
  Clock::time_point last_look_ = Clock::now();  // of now(), at the system's clock
  Clock::duration slept_{0};                    // left out by now() so far
  std::vector<std::shared_ptr<Resident>> residents_;
  std::shared_ptr<Resident> later_;  // first of the chain
  std::vector<char> scratch_;

  // Under mutex_, from other threads.
  std::mutex mutex_;
  std::shared_ptr<Resident> woken_;  // first of the chain
  Resident* last_woken_ = nullptr;
  Errand* errands_ = nullptr;  // of run_and_wait(), chained
  std::condition_variable errand_done_;
};

// Readiness of one socket, on its lane's thread. Owns the descriptor. A call is answered at most
// once; none comes after close(). The resident is kept alive while it waits. The when_… functions
// throw std::bad_alloc, and then wait for nothing.
class Watch {
 public:
  Watch(Lane& lane, UniqueFd fd);
  ~Watch();

  int fd() const;
  void when_readable(std::shared_ptr<Resident> resident);
  void when_writable(std::shared_ptr<Resident> resident);
  void when_broken(std::shared_ptr<Resident> resident);
  void close() noexcept;

 private:
  struct Descriptor;
  std::unique_ptr<Descriptor> descriptor_;
};

}  // namespace qwen3::server
