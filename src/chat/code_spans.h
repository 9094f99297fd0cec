// Where a text quotes: Markdown's code spans and fenced blocks.
//
//   Write `<tool_call>` to call.     in a span until its run of backticks closes, or the line ends
//   ```xml                           in a fence until a line of as many backticks (or tildes)
//   <tool_call>…
//   ```
//
// After CommonMark 0.31, sections 4.5 and 6.1, but for spans that go on over several lines: a stray
// backtick must not hide a call on a line of its own.
#pragma once

#include <cstddef>
#include <string_view>

namespace qwen3 {

class CodeSpans {
 public:
  // The text goes on. Cuts do not matter.
  void push(std::string_view text) {
    for (const char c : text) push(c);
  }
  void push(char c);

  bool in_span() const {
    // The run may still be going on: it opens a span, or closes the one of its length.
    if (run_ > 0 && run_mark_ == '`' && fence_ == 0) return span_ != run_;
    return span_ != 0;
  }
  bool in_fence() const { return fence_ != 0; }
  // As in_fence(), if the text ended here: a closing line needs no newline then.
  bool in_fence_at_end() const { return fence_ != 0 && !closes_fence(); }
  // Nothing but white space since the line began.
  bool first_on_line() const { return blank_; }

 private:
  void end_run();
  void end_line();
  bool closes_fence() const;

  char fence_mark_ = 0;
  size_t fence_ = 0;  // length of the run that opened the fence; 0: in none
  size_t span_ = 0;   // likewise of the span
  char run_mark_ = 0;
  size_t run_ = 0;  // of the marks just read
  bool run_is_first_ = false;
  // Of this line.
  bool blank_ = true;
  char first_mark_ = 0;
  size_t first_run_ = 0;   // the run it begins with, from three marks on
  bool only_run_ = false;  // nothing else but white space stands on it
};

}  // namespace qwen3
