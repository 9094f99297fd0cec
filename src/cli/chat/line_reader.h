// Lines of a conversation: from a terminal with editing and history (libedit), or from a pipe.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/input.h"
#include "cli/signals.h"

namespace qwen3::cli {

// What the beginning of a line may become by Tab: whole beginnings of lines.
using Completions = std::vector<std::string> (*)(std::string_view begin);

class LineReader {
 public:
  using Status = LineInput::Status;

  virtual ~LineReader() = default;
  // Reads one line, without its newline. `prompt` is shown on a terminal only.
  virtual Status read(const std::string& prompt, std::string& line) = 0;
  // Puts a message into the history, where there is one.
  virtual void remember(const std::string& /*message*/) {}
};

// Keeps the history of lines in `history_file` (empty: nowhere); its folder is made when missing.
// A history that cannot be read or written is no reason to stop. Ctrl-C, noticed by `interrupt`,
// gives up the line. On a terminal that cannot move its cursor (TERM unset or "dumb") the kernel's
// own line editing is used, without a history.
std::unique_ptr<LineReader> make_terminal_reader(const std::filesystem::path& history_file,
                                                 InterruptGuard& interrupt,
                                                 Completions completions);
std::unique_ptr<LineReader> make_pipe_reader(const InterruptGuard& interrupt);

// $XDG_STATE_HOME/qwen3/history, or ~/.local/state/qwen3/history; empty without a home.
std::filesystem::path default_history_file();

}  // namespace qwen3::cli
