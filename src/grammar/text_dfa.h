// TextDfa: a set of texts as a deterministic automaton over code points. Strings, keys, numbers, formats and
// patterns of a schema are such sets; what JSON Schema combines ("pattern" and "maxLength" and not "enum")
// is set algebra here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar_error.h"

namespace qwen3 {

// Immutable and minimal enough to compare: states that cannot accept are gone. More than
// kMaxDfaStates states: GrammarError{too_complex}.
class TextDfa {
 public:
  struct Edge {
    char32_t first, last;  // a range of code points, surrogates excluded
    int32_t to;
  };
  struct State {
    std::vector<Edge> edges;  // ascending, disjoint; code points outside of them are refused
    bool accepts = false;
  };
  // State 0 is where texts begin. Trims what cannot accept; throws GrammarError{too_complex}.
  explicit TextDfa(std::vector<State> states);

  static TextDfa all();
  static TextDfa none();
  static TextDfa of(const std::vector<std::string>& texts);  // UTF-8
  static TextDfa length(int64_t min, int64_t max);           // code points; max -1: no limit
  // ECMA-262 as far as it is regular (docs/structured-output.md): the whole text, or a text that contains a match.
  // `place` begins the message of GrammarError{invalid_regex}.
  static TextDfa full_match(std::string_view regex, std::string_view place = "");
  static TextDfa search(std::string_view regex, std::string_view place = "");

  TextDfa operator&(const TextDfa& other) const;
  TextDfa operator|(const TextDfa& other) const;
  TextDfa complement() const;
  TextDfa then(const TextDfa& other) const;  // concatenation

  bool empty() const;      // no text
  bool universal() const;  // every text
  bool contains(std::string_view utf8) const;
  bool finite() const;
  const std::vector<State>& states() const { return states_; }

 private:
  std::vector<State> states_;
};

}  // namespace qwen3
