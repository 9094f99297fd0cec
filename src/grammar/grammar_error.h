// GrammarError: why a schema, a regular expression or a grammar cannot be enforced.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace qwen3 {

// The codes that clients see: docs/structured-output.md lists them.
enum class GrammarFault {
  invalid_schema,        // not a JSON Schema
  unsupported_schema,    // a keyword, or a use of one, that is not enforced exactly here
  unsatisfiable_schema,  // no value is valid
  too_complex,           // beyond a limit (grammar/limits.h)
  invalid_regex,
  invalid_grammar,
  unsupported_grammar,  // another notation
};

std::string_view fault_name(GrammarFault fault);  // "invalid_schema", …

// ErrorKind::invalid_argument.
class GrammarError : public Error {
 public:
  // `place`: where in the source: a JSON pointer (RFC 6901) of a schema, "line:column" of a grammar, a byte
  // offset of a regular expression; may be empty. It begins what(), before ": ".
  GrammarError(GrammarFault fault, std::string place, const std::string& message);

  GrammarFault fault() const { return fault_; }
  const std::string& place() const { return place_; }

 private:
  GrammarFault fault_;
  std::string place_;
};

}  // namespace qwen3
