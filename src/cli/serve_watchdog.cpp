#include "cli/serve_watchdog.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/serve_stacks.h"

namespace qwen3::cli {
namespace {

constexpr double kReportAfterSeconds = 30;
constexpr std::chrono::milliseconds kStackPatience{500};
// What hangs may hold a lock that writing the stacks needs: then the process ends by SIGALRM.
constexpr unsigned kDumpSeconds = 20;

}  // namespace

Watchdog::Watchdog(server::Service& service, int64_t limit_seconds)
    : service_(service), limit_seconds_(limit_seconds) {
  prepare_stacks();
}

void Watchdog::look() {
  const server::ServedModel* model = service_.loaded();
  if (model == nullptr) return;
  const EngineStats stats = model->generator->stats();
  const bool hangs =
      limit_seconds_ > 0 && stats.step_seconds >= static_cast<double>(limit_seconds_);
  const bool is_long = hangs || stats.step_seconds >= kReportAfterSeconds;
  if (hangs) alarm(kDumpSeconds);
  if (is_long && (hangs || !reported_)) {
    service_.metrics().stalled();
    print_error(fmt::format(
        "qwen3 serve: a step of the engine runs for {:.0f} s; {}; the stacks of all "
        "threads follow",
        stats.step_seconds,
        hangs ? fmt::format("expected at most {} s (--step-seconds); the process ends so that a "
                            "supervisor can start it again",
                            limit_seconds_)
              : "it may only be slow"));
    write_stacks(STDERR_FILENO, kStackPatience);
  }
  reported_ = is_long;
  if (hangs) std::_Exit(kFailed);
}

}  // namespace qwen3::cli
