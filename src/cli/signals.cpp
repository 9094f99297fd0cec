#include "cli/signals.h"

#include <array>
#include <atomic>
#include <cstddef>

namespace qwen3::cli {
namespace {

std::array<std::atomic<int>, NSIG> g_counts{};
static_assert(std::atomic<int>::is_always_lock_free, "used in a signal handler");

std::atomic<int>& count_of(int signal_number) {
  return g_counts[static_cast<size_t>(signal_number)];
}

void on_signal(int signal_number) {
  count_of(signal_number).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

SignalsBlocked::SignalsBlocked() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, &before_);
}

SignalsBlocked::~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

CountedSignal::CountedSignal(int signal_number, SystemCall call) : signal_number_(signal_number) {
  clear();
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = call == SystemCall::goes_on ? SA_RESTART : 0;
  sigaction(signal_number_, &action, &before_);
}

CountedSignal::~CountedSignal() { sigaction(signal_number_, &before_, nullptr); }

int CountedSignal::count() const {
  return count_of(signal_number_).load(std::memory_order_relaxed);
}

void CountedSignal::clear() { count_of(signal_number_).store(0, std::memory_order_relaxed); }

}  // namespace qwen3::cli
