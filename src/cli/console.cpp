#include "cli/console.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/available_memory.h"
#include "base/error.h"
#include "base/output_file.h"
#include "base/utf8.h"
#include "cli/options.h"

namespace qwen3::cli {
namespace {

// A broken pipe ends the program quietly, as it does other programs, unless the caller wished it
// otherwise. Until then SIGPIPE is ignored: nobody reading the messages is no reason to end.
bool g_die_of_broken_pipe = false;

// Never destroyed: a thread that hangs in a write may outlive everything else.
std::atomic<NoteSink*> g_note_sink = nullptr;
constexpr std::chrono::milliseconds kLastPatience{1500};

}  // namespace

bool open_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    const int got = ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (got != fd) return false;
  }
  struct sigaction before = {};
  sigaction(SIGPIPE, nullptr, &before);
  g_die_of_broken_pipe = before.sa_handler == SIG_DFL;
  signal(SIGPIPE, SIG_IGN);
  return true;
}

bool write_to(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      pollfd state{fd, POLLOUT, 0};
      if (::poll(&state, 1, -1) < 0 && errno != EINTR) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool stdin_is_terminal() { return isatty(STDIN_FILENO) == 1; }
bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }
bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }

void print_out(std::string_view text) {
  if (write_to(STDOUT_FILENO, text)) return;
  const int error = errno;
  if (error == EPIPE && g_die_of_broken_pipe) {
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
  }
  fail(ErrorKind::io, "stdout: cannot write: {}; the output is incomplete", strerror(error));
}

void print_json(const Json& value) { print_out(dump_json(value) + "\n"); }

void print_raw_note(std::string_view text) {
  if (NoteSink* const sink = g_note_sink) return sink->write(text);
  write_to(STDERR_FILENO, text);
}

void print_note(std::string_view line) { print_raw_note(fmt::format("{}\n", line)); }

void print_error(std::string_view message) {
  std::string line;
  for (const char c : utf8_lossy(message)) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) {
      line += c;
    } else if (c == '\n') {
      line += ' ';
    } else {
      line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  print_note(line);
}

void send_notes_to(std::unique_ptr<NoteSink> sink) { g_note_sink = sink.release(); }

void flush_notes() {
  if (NoteSink* const sink = g_note_sink) sink->flush(kLastPatience);
}

void write_page(const std::filesystem::path& path,
                std::string_view page,
                const OutputOptions& output) {
  write_file(path, page);
  if (!output.talk()) return;
  print_note(fmt::format("{}: {}", path.string(), format_bytes(static_cast<int64_t>(page.size()))));
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
  if (drawn_) print_raw_note("\r\x1b[K");
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
  print_raw_note(fmt::format("\r\x1b[K{} [{:#>{}}{:.>{}}] {:3.0f} %  {} of {}",
                             what,
                             "",
                             filled,
                             "",
                             kWidth - filled,
                             share * 100,
                             format_bytes(done),
                             format_bytes(total)));
}

StatusLine::StatusLine(bool enabled) : enabled_(enabled && stderr_is_terminal()) {}

StatusLine::~StatusLine() { clear(); }

void StatusLine::clear() {
  if (drawn_) print_raw_note("\r\x1b[K");
  drawn_ = false;
}

void StatusLine::show(std::string_view text) {
  const auto now = std::chrono::steady_clock::now();
  if (!enabled_ || (drawn_ && now - last_ < std::chrono::milliseconds(100))) return;
  last_ = now;
  drawn_ = true;
  print_raw_note(fmt::format("\r\x1b[K{}", text));
}

}  // namespace qwen3::cli
