// The terminal side of the program: results to stdout, everything else to stderr, a progress bar.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/progress.h"

namespace qwen3::cli {

struct OutputOptions;

// First of all: puts something in the place of standard streams that the caller has closed, so that
// no file opened later takes their numbers and gets what was meant for a person. What it puts there
// fails when used: results that go nowhere must not look like success. Also takes SIGPIPE over.
// False when that is impossible.
bool open_standard_streams();

bool stdin_is_terminal();
bool stdout_is_terminal();
bool stderr_is_terminal();

// Writes to stdout at once (an answer is streamed). Throws Error{io} when nobody takes it: a
// full disk must not look like success. A closed pipe ends the program by SIGPIPE.
void print_out(std::string_view text);
// One JSON text per line.
void print_json(const Json& value);

// A line for people on stderr. Nobody listening is not an error.
void print_note(std::string_view line);
// The same without a line's end: parts of a terminal's screen.
void print_raw_note(std::string_view text);
// An error: always one line of UTF-8, control characters made visible.
void print_error(std::string_view message);

// Writes all of `text`; false with errno set when the system refuses. A terminal that another
// program made non-blocking is waited for.
bool write_to(int fd, std::string_view text);

// Where lines for people go instead of straight to stderr. Any thread.
class NoteSink {
 public:
  virtual ~NoteSink() = default;
  virtual void write(std::string_view text) noexcept = 0;
  // Waits until all is written; false when that takes longer than `patience`.
  virtual bool flush(std::chrono::milliseconds patience) = 0;
};

// From now on, and until the process ends, the notes and errors above go to `sink`. Once at most.
void send_notes_to(std::unique_ptr<NoteSink> sink);
// For those who end the process: gives what was said before a second or two to get out.
void flush_notes();
// The same at the end of a scope.
struct NotesFlushedAtEnd {
  NotesFlushedAtEnd() = default;
  ~NotesFlushedAtEnd() { flush_notes(); }
  NotesFlushedAtEnd(const NotesFlushedAtEnd&) = delete;
  NotesFlushedAtEnd& operator=(const NotesFlushedAtEnd&) = delete;
};

// A report's page: written, and its size said when `output` allows. Throws Error{io}.
void write_page(const std::filesystem::path& path,
                std::string_view page,
                const OutputOptions& output);

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

// One line of a terminal that says what is being done, and goes at the end. Says nothing when stderr
// is not a terminal.
class StatusLine {
 public:
  explicit StatusLine(bool enabled);
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  // At most ten times a second; the first is always shown.
  void show(std::string_view text);
  // Takes the line away, for a note that is to stay.
  void clear();

 private:
  const bool enabled_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace qwen3::cli
