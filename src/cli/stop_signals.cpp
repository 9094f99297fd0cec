#include "cli/stop_signals.h"

#include <signal.h>

#include <atomic>

namespace qwen3::cli {
namespace {

std::atomic<int> g_interrupts{0};
std::atomic<bool> g_terminated{false};
static_assert(std::atomic<int>::is_always_lock_free, "used in a signal handler");

void on_signal(int signal_number) {
  if (signal_number == SIGINT) {
    g_interrupts.fetch_add(1, std::memory_order_relaxed);
  } else {
    g_terminated.store(true, std::memory_order_relaxed);
  }
}

}  // namespace

struct StopSignals::Saved {
  struct sigaction interrupt, terminate;
};

StopSignals::StopSignals() : saved_(std::make_unique<Saved>()) {
  g_interrupts = 0;
  g_terminated = false;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // a write in progress is not to be cut short
  sigaction(SIGINT, &action, &saved_->interrupt);
  sigaction(SIGTERM, &action, &saved_->terminate);
}

StopSignals::~StopSignals() {
  sigaction(SIGINT, &saved_->interrupt, nullptr);
  sigaction(SIGTERM, &saved_->terminate, nullptr);
}

int StopSignals::interrupts() const { return g_interrupts.load(std::memory_order_relaxed); }

bool StopSignals::terminated() const { return g_terminated.load(std::memory_order_relaxed); }

}  // namespace qwen3::cli
