#include "cli/serve/watchdog.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/serve/stacks.h"

namespace qwen3::cli {
namespace {

constexpr double kReportAfterSeconds = 30;
constexpr std::chrono::milliseconds kStackPatience{500};
// What hangs may hold a lock that writing the stacks needs: then the process ends by SIGALRM.
constexpr unsigned kDumpSeconds = 20;

}  // namespace

// A step that is younger than the last look is a new one: only one runs at a time.
double AwakeTime::look(double step_seconds, Clock::time_point now) {
  const double since = std::chrono::duration<double>(now - last_look_).count();
  last_look_ = now;
  if (step_seconds < since) seconds_ = 0;
  seconds_ = std::min(step_seconds, seconds_ + std::min(since, kPortion));
  return seconds_;
}

Watchdog::Watchdog(server::Service& service, int64_t limit_seconds)
    : service_(service), limit_seconds_(limit_seconds) {
  prepare_stacks();
}

void Watchdog::look() {
  const server::ServedModel* model = service_.loaded();
  if (model == nullptr) return;
  const double seconds = time_.look(model->generator->stats().step_seconds, Clock::now());
  const bool hangs = limit_seconds_ > 0 && seconds >= static_cast<double>(limit_seconds_);
  const bool is_long = hangs || seconds >= kReportAfterSeconds;
  if (hangs) alarm(kDumpSeconds);
  if (is_long && (hangs || !reported_)) report(seconds, hangs);
  reported_ = is_long;
  if (!hangs) return;
  flush_notes();
  std::_Exit(kFailed);
}

void Watchdog::report(double seconds, bool hangs) {
  service_.metrics().stalled();
  print_error(fmt::format(
      "qwen3 serve: a step of the engine has run for {:.0f} s; {}; the stacks of all "
      "threads follow",
      seconds,
      hangs ? fmt::format("expected at most {} s (--step-seconds); the process ends so that a "
                          "supervisor can start it again",
                          limit_seconds_)
            : "it may only be slow"));
  write_stacks(print_raw_note, kStackPatience);
}

}  // namespace qwen3::cli
