// One way of writing tool calls; the stream of chat/tool_calls.h finds where a call may begin.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "chat/tool_calls.h"

namespace qwen3 {

struct CallReading {
  enum class State {
    more,  // a call as far as the text goes
    text,  // no call; the first `size` bytes are text, and what follows is looked at afresh
    call,  // its markup is the first `size` bytes
  };
  State state = State::more;
  size_t size = 0;
  ToolCall call = {};
};

class CallReader {
 public:
  enum class End { open, ended, cut };  // more may come; the model ended the text; a limit did

  virtual ~CallReader() = default;
  // Whether a call may begin with this tag, seen where only white space stands before it on its
  // line, or not.
  virtual bool may_begin(std::string_view tag, bool first_on_line) const = 0;
  // What begins at text[0], where one of the opening tags stands. Called again with a longer text
  // for as long as it says `more`; reset() comes before another beginning. What it says of a text
  // does not depend on how often it was asked.
  virtual CallReading read(std::string_view text, End end) = 0;
  virtual void reset() = 0;
};

constexpr std::string_view kCallOpen = "<tool_call>";
constexpr std::string_view kCallClose = "</tool_call>";
constexpr std::string_view kFunctionOpen = "<function=";
constexpr std::string_view kCallSpace = " \t\r\n";
// White space allowed between <tool_call> and what it opens; bounds what is held back.
constexpr size_t kMaxCallGap = 64;

// The first byte from `at` on that is no white space, or the size of the text.
inline size_t skip_call_space(std::string_view text, size_t at) {
  const size_t found = text.find_first_not_of(kCallSpace, at);
  return found == text.npos ? text.size() : found;
}

}  // namespace qwen3
