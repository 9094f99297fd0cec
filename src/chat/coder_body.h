// Where the parameters of a Qwen3-Coder call begin and end; see chat/coder_calls.h.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "chat/call_reader.h"

namespace qwen3 {

constexpr std::string_view kFunctionClose = "</function>";
constexpr std::string_view kParameterOpen = "<parameter=";
constexpr std::string_view kParameterClose = "</parameter>";

// The place behind the '>' of a tag with a name, "<function=f>", at text[at].
struct NamedTag {
  enum class State { whole, cut, none } state = State::none;
  size_t end = 0;
  std::string_view name;
};
NamedTag named_tag(std::string_view text, size_t at, std::string_view open);

class CoderBody {
 public:
  struct Rules {
    bool own_line;   // a parameter is closed on a line of its own
    bool nested;     // functions that open in a value close in it
    bool exact_end;  // nothing but another call follows the call
    bool implied;    // the next tag closes a parameter that nothing else does
  };
  enum class State { more, bad, whole };

  struct Parameter {
    TextRange name;
    TextRange value;
  };

  // The body begins at text[begin]. `opened`: by a <tool_call>, which then need not be closed.
  CoderBody(size_t begin, bool opened, const Rules& rules)
      : rules_(rules), opened_(opened), at_(begin) {}

  // Goes on where it stopped; `text` is the same with more at its end. `over`: no more will come.
  State read(std::string_view text, bool over);

  // After `whole`: the parameters in their order, and where the markup ends.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  size_t end() const { return end_; }
  bool in_value() const { return in_value_; }

 private:
  enum class Found { no, cut, yes };

  State read_tag(std::string_view text, bool over);
  State read_value(std::string_view text, bool over);
  // The tag at text[at_] inside of a value: does the value go on, end, or is the body bad?
  State value_tag(std::string_view text, bool over, bool* ended);
  Found closes(std::string_view text, size_t at, bool over) const;
  Found function_end(std::string_view text, size_t at, bool over, size_t* end) const;
  Found call_end(std::string_view text, size_t at, bool over) const;
  void end_value();

  Rules rules_;
  bool opened_;
  size_t at_;
  std::vector<Parameter> parameters_;
  bool in_value_ = false;
  Parameter parameter_;  // being read
  int depth_ = 0;        // functions open inside of the value
  int n_nested_ = 0;
  size_t end_ = 0;
};

}  // namespace qwen3
