// Regular expressions: ECMA-262's as far as they are regular (docs/structured-output.md), as an Nfa.
#pragma once

#include <string_view>

#include "grammar/nfa.h"

namespace qwen3 {

enum class RegexMatch { whole, search };

// `place` begins the message of GrammarError{invalid_regex, too_complex}; the place of the fault is the byte offset.
struct RegexTree;
Nfa tree_nfa(const RegexTree& tree, RegexMatch match);
Nfa regex_nfa(std::string_view regex, RegexMatch match, std::string_view place);

}  // namespace qwen3
