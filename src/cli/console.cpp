#include "cli/console.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/available_memory.h"
#include "base/error.h"

namespace qwen3::cli {
namespace {

std::atomic<bool> g_interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "used in a signal handler");

void on_sigint(int) { g_interrupted.store(true, std::memory_order_relaxed); }

[[noreturn]] void stdout_failed() {
  fail(ErrorKind::device, "stdout: cannot write: {}; the output is incomplete", strerror(errno));
}

}  // namespace

bool stdin_is_terminal() { return isatty(STDIN_FILENO) == 1; }
bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }
bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }

void print_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) stdout_failed();
  flush_stdout();
}

void print_json(const Json& value) { print_out(dump_json(value) + "\n"); }

void flush_stdout() {
  if (std::fflush(stdout) != 0) stdout_failed();
}

void print_note(std::string_view line) { fmt::print(stderr, "{}\n", line); }

void print_error(std::string_view message) {
  std::string line;
  for (const char c : message) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) {
      line += c;
    } else if (c == '\n') {
      line += ' ';
    } else {
      line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  fmt::print(stderr, "{}\n", line);
}

std::string format_count(int64_t count) {
  const double value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.2f} B", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.1f} k", value / 1e3);
  return fmt::format("{}", count);
}

ProgressBar::ProgressBar(bool enabled) : enabled_(enabled && stderr_is_terminal()) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

Progress ProgressBar::callback() {
  if (!enabled_) return {};
  return [this](std::string_view what, int64_t done, int64_t total) { update(what, done, total); };
}

void ProgressBar::update(std::string_view what, int64_t done, int64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (total <= 0 || (drawn_ && done < total && now - last_ < std::chrono::milliseconds(100)))
    return;
  last_ = now;
  drawn_ = true;
  constexpr int kWidth = 30;
  const double share = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  const int filled = static_cast<int>(share * kWidth);
  fmt::print(stderr,
             "\r\x1b[K{} [{:#>{}}{:.>{}}] {:3.0f} %  {} of {}",
             what,
             "",
             filled,
             "",
             kWidth - filled,
             share * 100,
             format_bytes(done),
             format_bytes(total));
  std::fflush(stderr);
}

struct InterruptGuard::Saved {
  struct sigaction action;
};

InterruptGuard::InterruptGuard() : saved_(std::make_unique<Saved>()) {
  clear();
  struct sigaction action = {};
  action.sa_handler = on_sigint;
  sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // no SA_RESTART: a read of the terminal returns with EINTR
  sigaction(SIGINT, &action, &saved_->action);
}

InterruptGuard::~InterruptGuard() { sigaction(SIGINT, &saved_->action, nullptr); }

bool InterruptGuard::interrupted() const { return g_interrupted.load(std::memory_order_relaxed); }

void InterruptGuard::clear() { g_interrupted.store(false, std::memory_order_relaxed); }

}  // namespace qwen3::cli
