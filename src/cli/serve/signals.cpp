#include "cli/serve/signals.h"

#include <algorithm>
#include <cstdint>
#include <ctime>

namespace qwen3::cli {
namespace {

bool is_ignored(int signal_number) {
  struct sigaction action = {};
  sigaction(signal_number, nullptr, &action);
  return action.sa_handler == SIG_IGN;
}

}  // namespace

EndSignals::EndSignals() {
  sigemptyset(&set_);
  sigaddset(&set_, SIGTERM);
  sigaddset(&set_, SIGINT);
  if (!is_ignored(SIGHUP)) sigaddset(&set_, SIGHUP);  // blocked, it would still come
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
}

bool EndSignals::wait(std::chrono::milliseconds patience) {
  const auto count = std::max<int64_t>(patience.count(), 0);
  const timespec time{static_cast<time_t>(count / 1000),
                      static_cast<long>(count % 1000 * 1'000'000)};
  const int got = sigtimedwait(&set_, nullptr, &time);
  if (got == SIGTERM || got == SIGINT) ++n_urgent_;
  return got > 0;
}

}  // namespace qwen3::cli
