#include "cli/eval/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "cli/console.h"

namespace qwen3::cli {
namespace {

constexpr std::chrono::milliseconds kRedraw{200};
constexpr std::chrono::seconds kLogEvery{30};

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

EvalProgress::EvalProgress(bool enabled)
    : enabled_(enabled),
      terminal_(stderr_is_terminal()),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {}

EvalProgress::~EvalProgress() { erase(); }

void EvalProgress::erase() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

void EvalProgress::show(const eval::Tally& tally, const std::string& condition) {
  const auto now = std::chrono::steady_clock::now();
  if (!enabled_ || now - last_ < (terminal_ ? std::chrono::nanoseconds(kRedraw) : kLogEvery))
    return;
  last_ = now;
  if (!terminal_) return print_note(line(tally, condition));
  fmt::print(stderr, "\r\x1b[K{}", line(tally, condition));
  std::fflush(stderr);
  drawn_ = true;
}

void EvalProgress::note(const std::string& text) {
  erase();
  print_note(text);
}

std::string EvalProgress::line(const eval::Tally& tally, const std::string& condition) const {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const auto fresh = static_cast<double>(tally.there - tally.found);
  const double rate = seconds > 0 ? fresh / seconds : 0;
  std::string text = fmt::format("{} of {} samples ({:.0f} %), {} under way",
                                 tally.there,
                                 tally.wanted,
                                 100.0 * static_cast<double>(tally.there) /
                                     static_cast<double>(std::max<int64_t>(1, tally.wanted)),
                                 tally.under_way);
  if (fresh > 0) {
    const auto left = static_cast<double>(tally.wanted - tally.there - tally.failed);
    text += fmt::format(", {:.2f}/s, {:.0f} tok/s, {} left",
                        rate,
                        static_cast<double>(tally.new_completion_tokens) / seconds,
                        duration_text(std::max(0.0, left) / rate));
  }
  if (tally.failed > 0) text += fmt::format(", {} failed", tally.failed);
  if (!condition.empty()) text += "; " + condition;
  return text;
}

}  // namespace qwen3::cli
