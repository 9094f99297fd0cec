// What a person gives to read: standard input, and files named on the command line. Bounded, and
// a failure to read is told apart from the end: a directory or a bad disk is not an empty text.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

#include "cli/signals.h"

namespace qwen3::cli {

// The most that is taken from standard input, as one text or as one line of many.
inline constexpr size_t kMaxInputBytes = size_t{256} << 20;

// All of standard input. Throws Error{invalid_argument} beyond kMaxInputBytes, Error{io} when
// it cannot be read.
std::string read_stdin();

// All of a file, which may be a pipe (`<(…)` of a shell; a FIFO with a name is refused: it may
// never have a writer) or come with the program ("embedded:…"). Throws Error naming it: not_found,
// invalid_argument beyond `max_bytes`, corrupt_file when it changes meanwhile, device.
std::string read_input_file(const std::filesystem::path& path, size_t max_bytes);

// A file by what it is to a command: "--html", report.html.
struct NamedFile {
  std::string_view name;
  std::filesystem::path path;  // empty: not given
};

// Throws UsageError where an output is one of the inputs, under whatever name, or another output: it would
// replace what is read.
void check_no_output_is_an_input(std::string_view command,
                                 std::initializer_list<NamedFile> inputs,
                                 std::initializer_list<NamedFile> outputs);

// Standard input line by line. One at a time: what it has read ahead is its own.
class LineInput {
 public:
  enum class Status { line, interrupted, end };

  // Ctrl-C, noticed by `interrupt`, ends the waiting for a line; null: it is not looked for.
  explicit LineInput(const InterruptGuard* interrupt = nullptr) : interrupt_(interrupt) {}

  // One line, without its newline; the last one may lack it. Throws as read_stdin.
  Status read(std::string& line);

 private:
  const InterruptGuard* interrupt_;
  std::array<char, 65536> buffer_;
  std::string_view ahead_;  // read from the system, not handed out yet
};

}  // namespace qwen3::cli
