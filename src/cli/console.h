// The terminal side of the program: results to stdout, everything else to stderr, a progress bar,
// and Ctrl-C.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/progress.h"

namespace qwen3::cli {

bool stdin_is_terminal();
bool stdout_is_terminal();
bool stderr_is_terminal();

// Writes to stdout at once (an answer is streamed). Throws Error{device} when nobody takes it: a
// closed pipe or a full disk must not look like success.
void print_out(std::string_view text);
// One JSON text per line.
void print_json(const Json& value);
void flush_stdout();

// A line for people on stderr.
void print_note(std::string_view line);
// An error: always one line, control characters made visible.
void print_error(std::string_view message);

std::string format_count(int64_t count);  // "596.05 M"

// Draws "what  [#####.....]  42 %  1.2 of 3.0 GiB" on one line of a terminal, at most ten times a
// second, and removes it at the end. Draws nothing when stderr is not a terminal.
class ProgressBar {
 public:
  explicit ProgressBar(bool enabled);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  Progress callback();

 private:
  void update(std::string_view what, int64_t done, int64_t total);

  bool enabled_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

// While it lives, SIGINT sets a flag instead of ending the program. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  // True if Ctrl-C came since the guard was made or clear() was called.
  bool interrupted() const;
  void clear();

 private:
  struct Saved;  // the action of SIGINT before
  std::unique_ptr<Saved> saved_;
};

}  // namespace qwen3::cli
