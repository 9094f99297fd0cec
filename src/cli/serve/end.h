// How qwen3 serve ends: told to, it gives notice, lets what is under way finish, and is gone by a
// time that is known beforehand, whatever hangs. Its threads are made at the start: where memory
// has run out, the end could have none.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "cli/serve/signals.h"
#include "cli/serve/watchdog.h"
#include "server/api/service.h"
#include "server/http/http_server.h"

namespace qwen3::cli {

// How often the main thread looks around while it waits for signals.
constexpr std::chrono::milliseconds kTick{200};

// Ends the process when an orderly end takes too long. Threads: any, one at a time.
class EndGuard {
 public:
  EndGuard();
  ~EndGuard();  // the end was in time
  EndGuard(const EndGuard&) = delete;
  EndGuard& operator=(const EndGuard&) = delete;

  // The process ends after this time and a few seconds, with exit code 1; a later call replaces the
  // time of an earlier one.
  void within(std::chrono::milliseconds time);
  // Everybody has been answered: what still hangs gets those few seconds, and the exit code is 0.
  void all_answered();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::chrono::steady_clock::time_point> end_;  // under mutex_, as all below
  bool answered_ = false;
  bool over_ = false;
  std::thread thread_;
};

// A thread that waits for its one piece of work. Threads: the owner's.
class ReadyThread {
 public:
  ReadyThread();
  ~ReadyThread();  // waits for the work, if there was any
  ReadyThread(const ReadyThread&) = delete;
  ReadyThread& operator=(const ReadyThread&) = delete;

  // Once. Allocates nothing besides what `work` does.
  void start(std::function<void()> work);
  bool is_done() const;
  void join();  // throws what `work` threw

 private:
  std::promise<std::function<void()>> work_;
  bool started_ = false;
  std::future<void> ended_;
};

struct EndTimes {
  std::chrono::seconds notice{0};  // /health says 503, requests are still taken
  std::chrono::seconds drain{30};  // the listeners are closed, what is under way may finish
};

// Returns when every request is answered and the front's threads are gone. A second SIGTERM or
// Ctrl-C waits for neither time.
void end_service(server::HttpServer& front,
                 server::Service& service,
                 Watchdog& watchdog,
                 EndSignals& signals,
                 EndGuard& guard,
                 ReadyThread& stopper,
                 const EndTimes& times);

}  // namespace qwen3::cli
