// One I/O thread: an event loop, the residents that live on it (connections), and a tick that lets
// each check its deadlines. A resident is touched by its lane's thread only; other threads reach it
// through post() and wake().
//
// The only file that knows Boost.Asio is lane.cpp.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "server/socket_address.h"

namespace qwen3::server {

using Clock = std::chrono::steady_clock;

// What a lane calls. All on the lane's thread.
class Resident {
 public:
  virtual ~Resident() = default;
  virtual void on_readable() {}
  virtual void on_writable() {}
  virtual void on_broken() {}  // reset, or closed in both directions
  virtual void on_wake() {}
  virtual void on_tick(Clock::time_point) {}

 private:
  friend class Lane;
  size_t lane_index_ = 0;
};

class Lane {
 public:
  // Starts the thread. `tick` is the resolution of deadlines.
  explicit Lane(std::chrono::milliseconds tick);
  ~Lane();  // stop()

  // Any thread. An exception that escapes `work` is a defect of ours and ends that work only.
  void post(std::function<void()> work);
  void post_after(std::chrono::milliseconds delay, std::function<void()> work);
  // Calls on_wake() if the resident still lives by then.
  void wake(std::weak_ptr<Resident> resident);
  // Runs `work` on the lane's thread and waits for it. Not from that thread itself.
  void run_and_wait(const std::function<void()>& work);
  // Ends the loop and joins the thread; what is still posted is destroyed unrun.
  void stop();

  // The lane's thread only.
  void add(std::shared_ptr<Resident> resident);
  void remove(Resident& resident);
  // `visit` may remove the resident that it is given, no other.
  void each(const std::function<void(Resident&)>& visit);
  // Scratch for one read; its contents do not survive a return to the loop.
  std::span<char> scratch() { return scratch_; }

 private:
  friend class Watch;
  struct Loop;
  void tick();

  std::unique_ptr<Loop> loop_;
  std::chrono::milliseconds tick_;
  std::vector<std::shared_ptr<Resident>> residents_;
  std::vector<char> scratch_;
};

// Readiness of one socket, on its lane's thread. Owns the descriptor. A call is answered at most
// once; none comes after close(). The resident is kept alive while it waits.
class Watch {
 public:
  Watch(Lane& lane, UniqueFd fd);
  ~Watch();

  int fd() const;
  void when_readable(std::shared_ptr<Resident> resident);
  void when_writable(std::shared_ptr<Resident> resident);
  void when_broken(std::shared_ptr<Resident> resident);
  void close();

 private:
  struct Descriptor;
  std::unique_ptr<Descriptor> descriptor_;
};

}  // namespace qwen3::server
