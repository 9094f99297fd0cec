// ExactNumbers: the digits of a JSON text's numbers that no double holds. Json has a double instead, and a schema is
// kept to what was written.
//
//   {"minimum": 18446744073709551617, "maximum": 2e19}
//     Json has 1.8446744073709552e19 and 2e19; digits(1.8446744073709552e19) is "18446744073709551617"
//
// They are found by the double, so they stay with a value that is copied, or moved into another document.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace qwen3 {

class ExactNumbers {
 public:
  // Whether a value holds a number for which a text must be looked into.
  static bool needed_by(const Json& value);

  // The numbers of one more text that parse_json takes. Of the doubles that several numbers are read as, digits()
  // fails.
  void add(std::string_view text);
  // The same of a text in which `value` stands; nothing where that needs none of them.
  void add_for(const Json& value, std::string_view text) {
    if (needed_by(value)) add(text);
  }

  // As it was written; none where a double's shortest spelling is exact. Throws GrammarError{unsupported_schema} at
  // `place` where it is not known which of several numbers this is.
  std::optional<std::string> digits(double number, const std::string& place) const;

  // All of it as text: what decides a grammar with them.
  std::string source() const;

 private:
  static constexpr size_t kMost = 1000;

  std::map<uint64_t, std::string> written_;  // by the bits of the double; "": several
  bool too_many_ = false;
};

}  // namespace qwen3
