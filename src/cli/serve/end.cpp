#include "cli/serve/end.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "cli/commands.h"
#include "cli/console.h"
#include "server/api/api_error.h"

namespace qwen3::cli {
namespace {

// Beyond the grace: for last words to clients, handlers that compute, a step of the engine.
constexpr std::chrono::milliseconds kMargin{5000};

void give_notice(server::HttpServer& front,
                 server::Service& service,
                 Watchdog& watchdog,
                 EndSignals& signals,
                 std::chrono::milliseconds time) {
  service.announce_end();
  front.announce_end();
  const auto end = std::chrono::steady_clock::now() + time;
  while (!signals.urgent()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left <= left.zero()) return;
    signals.wait(std::min(left, kTick));
    watchdog.look();
  }
}

}  // namespace

EndGuard::EndGuard() : thread_([this] { run(); }) {}

EndGuard::~EndGuard() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void EndGuard::within(std::chrono::milliseconds time) {
  {
    const std::lock_guard lock(mutex_);
    end_ = std::chrono::steady_clock::now() + time + kMargin;
  }
  changed_.notify_all();
}

void EndGuard::all_answered() {
  {
    const std::lock_guard lock(mutex_);
    answered_ = true;
  }
  within(std::chrono::milliseconds(0));
}

void EndGuard::run() {
  std::unique_lock lock(mutex_);
  while (!over_) {
    if (!end_) {
      changed_.wait(lock);
      continue;
    }
    if (std::chrono::steady_clock::now() >= *end_) {
      print_error(answered_ ? "qwen3 serve: every request is answered, but the engine did not stop "
                              "in time; the process ends without it"
                            : "qwen3 serve: requests in progress did not end in time; the process "
                              "ends without them");
      flush_notes();
      std::_Exit(answered_ ? kDone : kFailed);
    }
    changed_.wait_until(lock, *end_);
  }
}

ReadyThread::ReadyThread()
    : ended_(std::async(std::launch::async, [work = work_.get_future()]() mutable {
        if (const std::function<void()> mine = work.get()) mine();
      })) {}

ReadyThread::~ReadyThread() {
  if (!started_) work_.set_value(nullptr);
}

void ReadyThread::start(std::function<void()> work) {
  started_ = true;
  work_.set_value(std::move(work));
}

bool ReadyThread::is_done() const {
  return ended_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

void ReadyThread::join() { ended_.get(); }

void end_service(server::HttpServer& front,
                 server::Service& service,
                 Watchdog& watchdog,
                 EndSignals& signals,
                 EndGuard& guard,
                 ReadyThread& stopper,
                 const EndTimes& times) {
  guard.within(times.notice + times.drain);
  give_notice(front, service, watchdog, signals, times.notice);
  service.drain();
  stopper.start([&front, &times] { front.stop(times.drain); });
  while (!stopper.is_done()) {
    if (!signals.urgent()) {
      signals.wait(kTick);
      watchdog.look();
      continue;
    }
    guard.within(std::chrono::milliseconds(0));
    service.abort_all(server::ApiError(503, "draining", "the server is shutting down"));
    front.stop(std::chrono::milliseconds(0));
    break;
  }
  stopper.join();
  guard.all_answered();
}

}  // namespace qwen3::cli
