#include "cli/line_reader.h"

#include <histedit.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <system_error>

namespace qwen3::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kHistoryLines = 1000;

// One character of the terminal, for libedit. Its own reader tries again after a signal; this one
// gives up, so that Ctrl-C ends the line. Returns 1, 0 at the end, -1 on error.
int read_character(EditLine*, wchar_t* out) {
  std::mbstate_t state{};
  for (;;) {
    char byte = 0;
    const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
    if (n == 0) return 0;
    if (n < 0) return -1;
    const size_t used = std::mbrtowc(out, &byte, 1, &state);
    if (used == static_cast<size_t>(-2)) continue;  // more bytes to come
    if (used == static_cast<size_t>(-1)) {
      state = {};  // not a character: skip the byte
      continue;
    }
    return 1;
  }
}

class TerminalReader final : public LineReader {
 public:
  TerminalReader(fs::path history_file, InterruptGuard& interrupt)
      : interrupt_(interrupt), history_file_(std::move(history_file)) {
    // Multi-byte characters need a UTF-8 locale; the C locale has none.
    if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) {
      std::setlocale(LC_CTYPE, "C.UTF-8");
    }
    // The prompt goes to stderr: stdout holds answers only.
    edit_ = el_init("qwen3", stdin, stderr, stderr);
    history_ = history_init();
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistoryLines);
    history(history_, &event, H_SETUNIQUE, 1);
    if (!history_file_.empty()) history(history_, &event, H_LOAD, history_file_.c_str());
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(
        edit_, EL_PROMPT, +[](EditLine* edit) {
          void* self = nullptr;
          el_get(edit, EL_CLIENTDATA, &self);
          return static_cast<TerminalReader*>(self)->prompt_.data();
        });
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_SIGNAL, 1);
    el_set(edit_, EL_HIST, history, history_);
    el_source(edit_, nullptr);  // the user's own key bindings
    el_wset(edit_, EL_GETCFN, read_character);
  }

  ~TerminalReader() override {
    el_end(edit_);
    history_end(history_);
  }
  TerminalReader(const TerminalReader&) = delete;
  TerminalReader& operator=(const TerminalReader&) = delete;

  Status read(const std::string& prompt, std::string& line) override {
    prompt_ = prompt;
    interrupt_.clear();
    el_resize(edit_);
    int length = 0;
    const char* text = el_gets(edit_, &length);
    if (interrupt_.interrupted()) {
      interrupt_.clear();
      el_reset(edit_);
      print_raw_note("\n");
      return Status::interrupted;
    }
    if (text == nullptr || length <= 0) {
      print_raw_note("\n");
      return Status::end;
    }
    line.assign(text, static_cast<size_t>(length));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    remember(line);
    return Status::line;
  }

 private:
  // Saved after every line: the program may end at any moment.
  void remember(const std::string& line) {
    if (line.find_first_not_of(" \t") == line.npos) return;
    HistEvent event;
    history(history_, &event, H_ENTER, line.c_str());
    if (history_file_.empty()) return;
    std::error_code ignored;
    fs::create_directories(history_file_.parent_path(), ignored);
    history(history_, &event, H_SAVE, history_file_.c_str());
  }

  InterruptGuard& interrupt_;
  fs::path history_file_;
  std::string prompt_;
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
};

class PipeReader final : public LineReader {
 public:
  explicit PipeReader(const InterruptGuard& interrupt) : input_(&interrupt) {}

  Status read(const std::string&, std::string& line) override {
    const Status status = input_.read(line);
    if (line.ends_with('\r')) line.pop_back();
    return status;
  }

 private:
  LineInput input_;
};

}  // namespace

std::unique_ptr<LineReader> make_terminal_reader(const fs::path& history_file,
                                                 InterruptGuard& interrupt) {
  return std::make_unique<TerminalReader>(history_file, interrupt);
}

std::unique_ptr<LineReader> make_pipe_reader(const InterruptGuard& interrupt) {
  return std::make_unique<PipeReader>(interrupt);
}

fs::path default_history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && fs::path(state).is_absolute()) return fs::path(state) / "qwen3/history";
  const char* home = std::getenv("HOME");
  if (home != nullptr && fs::path(home).is_absolute()) {
    return fs::path(home) / ".local/state/qwen3/history";
  }
  return {};
}

}  // namespace qwen3::cli
