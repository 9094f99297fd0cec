#include "grammar/grammar_error.h"

namespace qwen3 {

std::string_view fault_name(GrammarFault fault) {
  switch (fault) {
    case GrammarFault::invalid_schema:
      return "invalid_schema";
    case GrammarFault::unsupported_schema:
      return "unsupported_schema";
    case GrammarFault::unsatisfiable_schema:
      return "unsatisfiable_schema";
    case GrammarFault::too_complex:
      return "grammar_too_complex";
    case GrammarFault::invalid_regex:
      return "invalid_regex";
    case GrammarFault::invalid_grammar:
      return "invalid_grammar";
    case GrammarFault::unsupported_grammar:
      return "unsupported_grammar";
  }
  return "invalid_grammar";
}

GrammarError::GrammarError(GrammarFault fault, std::string place, const std::string& message)
    : Error(ErrorKind::invalid_argument, place.empty() ? message : place + ": " + message),
      fault_(fault),
      place_(std::move(place)) {}

}  // namespace qwen3
