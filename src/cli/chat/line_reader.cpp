#include "cli/chat/line_reader.h"

#include <fmt/format.h>
#include <histedit.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "cli/console.h"

namespace qwen3::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kHistoryLines = 1000;
constexpr int64_t kMaxHistoryBytes = 64 << 20;

class TerminalReader final : public LineReader {
 public:
  TerminalReader(fs::path history_file, InterruptGuard& interrupt, Completions completions)
      : interrupt_(interrupt), history_file_(std::move(history_file)), completions_(completions) {
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
    load_history();
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(
        edit_, EL_PROMPT, +[](EditLine* edit) { return self(edit).prompt_.data(); });
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_SIGNAL, 1);
    el_set(edit_, EL_HIST, history, history_);
    el_set(edit_, EL_ADDFN, "qwen3-complete", "Complete a command", &TerminalReader::complete);
    el_set(edit_, EL_BIND, "^I", "qwen3-complete", nullptr);
    el_source(edit_, nullptr);  // the user's own key bindings
    el_wset(edit_, EL_GETCFN, &TerminalReader::read_character);
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
    // A new size of the terminal interrupts the reading. libedit's own handler, which runs first,
    // serves one signal per line only and then puts back this one.
    CountedSignal resized(SIGWINCH, CountedSignal::SystemCall::returns);
    resized_ = &resized;
    el_resize(edit_);
    pasting_ = false;
    int length = 0;
    print_raw_note(kPasteOn);
    const char* text = el_gets(edit_, &length);
    print_raw_note(kPasteOff);
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
    line = with_newlines(std::move(line));
    return Status::line;
  }

  // Saved after every message: the program may end at any moment.
  void remember(const std::string& message) override {
    if (message.find_first_not_of(" \t\n") == message.npos) return;
    const std::string line = with_signs(message);
    HistEvent event;
    history(history_, &event, H_ENTER, line.c_str());
    if (history_file_.empty()) return;
    std::error_code ignored;
    fs::create_directories(history_file_.parent_path(), ignored);
    history(history_, &event, H_SAVE, history_file_.c_str());
  }

 private:
  static TerminalReader& self(EditLine* edit) {
    void* reader = nullptr;
    el_get(edit, EL_CLIENTDATA, &reader);
    return *static_cast<TerminalReader*>(reader);
  }

  // One character of the terminal, for libedit. Its own reader tries again after any signal; this
  // one gives up after Ctrl-C, which ends the line. Returns 1, 0 at the end, -1 on error.
  static int read_character(EditLine* edit, wchar_t* out) {
    TerminalReader& reader = self(edit);
    std::mbstate_t state{};
    for (;;) {
      char byte = 0;
      const ssize_t n = reader.read_byte(byte);
      if (n == 0) return 0;
      if (n < 0) {
        if (!reader.go_on_after(errno)) return -1;
        continue;
      }
      if (byte == '\x1b' && reader.is_paste_mark()) continue;
      if (reader.pasting_) {
        if (byte == '\r' || byte == '\n' || byte == '\t') {
          *out = byte == '\t' ? kTabSign : kNewlineSign;
          return 1;
        }
        // Other control characters would be commands of the editor.
        if ((byte >= 0 && byte < ' ') || byte == '\x7f') continue;
      }
      const size_t used = std::mbrtowc(out, &byte, 1, &state);
      if (used == static_cast<size_t>(-2)) continue;  // more bytes to come
      // The kernel's trace of a Ctrl-D that was pressed while an answer came. libedit would take it
      // for "insert the next key as it is", and Ctrl-D would never again end the chat.
      if (used == 0) continue;
      if (used == static_cast<size_t>(-1)) {
        state = {};  // not a character: skip the byte
        continue;
      }
      return 1;
    }
  }

  // A pasted newline ends no message: in the line that is edited it stands as a sign of its own.
  static constexpr wchar_t kNewlineSign = L'\u240A', kTabSign = L'\u2409';
  static constexpr std::string_view kPasteOn = "\x1b[?2004h", kPasteOff = "\x1b[?2004l";

  static std::string with_newlines(std::string line) {
    for (const auto& [sign, character] :
         {std::pair<std::string_view, char>{"\xE2\x90\x8A", '\n'}, {"\xE2\x90\x89", '\t'}}) {
      for (size_t at = 0; (at = line.find(sign, at)) != line.npos; ++at) {
        line.replace(at, sign.size(), 1, character);
      }
    }
    return line;
  }

  static std::string with_signs(const std::string& text) {
    std::string line;
    for (const char c : text) {
      if (c == '\n') {
        line += "\xE2\x90\x8A";
      } else if (c == '\t') {
        line += "\xE2\x90\x89";
      } else {
        line += c;
      }
    }
    return line;
  }

  ssize_t read_byte(char& byte) {
    if (ahead_.empty()) return ::read(STDIN_FILENO, &byte, 1);
    byte = ahead_.front();
    ahead_.erase(0, 1);
    return 1;
  }

  // After an escape character: whether a paste begins or ends here ("\x1b[200~", "\x1b[201~"). What
  // was read for something else, such as an arrow key, is read again.
  bool is_paste_mark() {
    constexpr int kPatienceMs = 50;  // a terminal sends a key's bytes together
    std::string seen;
    for (const std::string_view begin = "[20"; seen.size() < 5;) {
      pollfd state{STDIN_FILENO, POLLIN, 0};
      if (ahead_.empty() && ::poll(&state, 1, kPatienceMs) <= 0) break;
      char byte = 0;
      if (read_byte(byte) != 1) break;
      seen += byte;
      const size_t n = seen.size();
      const bool fits = n <= 3   ? byte == begin[n - 1]
                        : n == 4 ? byte == '0' || byte == '1'
                                 : byte == '~';
      if (!fits) break;
    }
    if (seen == "[200~" || seen == "[201~") {
      pasting_ = seen == "[200~";
      return true;
    }
    ahead_.insert(0, seen);
    return false;
  }

  // libedit takes a line of a new width for one that is not drawn yet: what is there of it goes.
  void erase_line() {
    winsize size{};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    const LineInfoW* line = el_wline(edit_);
    const int width = ::wcswidth(line->buffer, static_cast<size_t>(line->cursor - line->buffer));
    const int before = static_cast<int>(prompt_.size()) + std::max(width, 0);
    const int rows_above = known ? before / size.ws_col : 0;
    if (rows_above > 0) print_raw_note(fmt::format("\x1b[{}A", rows_above));
    print_raw_note("\r\x1b[J");
  }

  // Whether to read on after this error. A signal may have changed the screen: it is drawn again.
  bool go_on_after(int error) {
    if (error == EAGAIN) {  // another program made the terminal non-blocking
      pollfd state{STDIN_FILENO, POLLIN, 0};
      ::poll(&state, 1, -1);
    } else if (error != EINTR) {
      return false;
    }
    if (interrupt_.interrupted()) return false;
    if (resized_->count() > 0) {
      resized_->clear();
      el_resize(edit_);
      erase_line();
    }
    if (error == EINTR) el_set(edit_, EL_REFRESH);
    return true;
  }

  // libedit would wait for a FIFO, and write into what is there instead of a file: such a history
  // is neither read nor written, nor is one too large to be ours.
  void load_history() {
    if (history_file_.empty()) return;
    try {
      const std::optional<InputFile> file = InputFile::open_if_there(history_file_);
      if (!file) return;
      if (file->size() <= kMaxHistoryBytes) {
        // The file that was looked at, whatever has its name by now.
        const std::string opened = fmt::format("/proc/self/fd/{}", file->descriptor());
        HistEvent event;
        history(history_, &event, H_LOAD, opened.c_str());
        return;
      }
    } catch (const Error&) {  // no reason to end a conversation
    }
    history_file_.clear();
  }

  // Tab: as far as all completions agree; where that is nothing new, they are listed.
  static unsigned char complete(EditLine* edit, int) {
    const LineInfo* line = el_line(edit);
    const std::string begin(line->buffer, static_cast<size_t>(line->cursor - line->buffer));
    const std::vector<std::string> all = self(edit).completions_(begin);
    if (all.empty()) return CC_REFRESH_BEEP;
    std::string common = all.front();
    for (const std::string& one : all) {
      const auto parted = std::mismatch(common.begin(), common.end(), one.begin(), one.end());
      common.erase(parted.first, common.end());
    }
    if (common.size() > begin.size()) {
      el_insertstr(edit, common.c_str() + begin.size());
      return CC_REFRESH;
    }
    print_raw_note("\n");
    for (const std::string& one : all) print_raw_note(one + "  ");
    print_raw_note("\n");
    return CC_REDISPLAY;
  }

  InterruptGuard& interrupt_;
  CountedSignal* resized_ = nullptr;  // while a line is read
  fs::path history_file_;
  Completions completions_;
  std::string prompt_;
  std::string ahead_;  // bytes read, but not yet given to libedit
  bool pasting_ = false;
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
};

// A terminal that cannot move its cursor. The kernel edits the line: libedit would change modes
// under keys that are typed early, and can lose a Ctrl-D for good.
class DumbTerminalReader final : public LineReader {
 public:
  explicit DumbTerminalReader(InterruptGuard& interrupt)
      : interrupt_(interrupt), input_(&interrupt) {}

  Status read(const std::string& prompt, std::string& line) override {
    interrupt_.clear();
    print_raw_note(prompt);
    const Status status = input_.read(line);
    if (status != Status::line) print_raw_note("\n");
    interrupt_.clear();
    return status;
  }

 private:
  InterruptGuard& interrupt_;
  LineInput input_;
};

bool is_dumb(const char* term) { return term == nullptr || std::string_view(term) == "dumb"; }

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
                                                 InterruptGuard& interrupt,
                                                 Completions completions) {
  if (is_dumb(std::getenv("TERM"))) return std::make_unique<DumbTerminalReader>(interrupt);
  return std::make_unique<TerminalReader>(history_file, interrupt, completions);
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
