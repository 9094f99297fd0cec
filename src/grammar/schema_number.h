// Sets of numbers as automata over their decimal spelling `-?(0|[1-9]\d*)(\.\d+)?`. Bounds, multipleOf and values
// are compared exactly, digit by digit: no number here is ever rounded.
//
//   minimum 0.5:    0.5  0.50  12  3.25   not 0.4999
//   multipleOf 0.1: 3  3.1  3.10          not 3.15
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "grammar/exact_numbers.h"
#include "grammar/text_dfa.h"

namespace qwen3 {

// The decimal digits of a JSON number.
struct Decimal {
  bool negative = false;
  std::string digits;    // no zero at either end; empty: zero
  int64_t exponent = 0;  // value = digits · 10^exponent

  bool is_integer() const { return exponent >= 0; }
  bool has_many_digits() const;  // with its zeros, more than a number of a schema may have
  std::string text() const;      // the shortest spelling without exponent
  friend bool operator==(const Decimal&, const Decimal&) = default;
};
// Of a JSON number's text. Exponents beyond what has_many_digits() is told of are cut.
Decimal to_decimal(std::string_view text);
Decimal shortest_decimal(double number);  // the fewest digits that are read as it
// Of a number of a schema, in the digits that were written. Throws GrammarError at `place` where they are not known,
// or too many.
Decimal to_decimal(const Json& number, const ExactNumbers& numbers, const std::string& place);

class NumberSet {
 public:
  static NumberSet none();
  static NumberSet all();
  static NumberSet integers();
  static NumberSet at_least(const Decimal& bound);
  static NumberSet above(const Decimal& bound);
  static NumberSet at_most(const Decimal& bound);
  static NumberSet below(const Decimal& bound);
  // REQUIRES: not zero. Throws GrammarError{too_complex} at `place` beyond 1,000 residues.
  static NumberSet multiples(const Decimal& divisor, const std::string& place);
  // These values, each in its shortest spelling only.
  static NumberSet of(const std::vector<Decimal>& values);

  NumberSet operator&(const NumberSet& other) const;
  NumberSet operator|(const NumberSet& other) const;
  NumberSet complement() const;

  bool empty() const { return spellings_->empty(); }
  bool universal() const;
  bool only_integers() const;
  // How a number of the set may be written: integers without a fraction.
  TextDfa written() const;
  // Each number once: no zeros at the end, no -0.
  TextDfa shortest() const;
  // The same for copies of a set: what is made of one can be kept.
  const void* identity() const { return spellings_.get(); }

 private:
  NumberSet(TextDfa spellings, bool every_spelling)
      : spellings_(std::make_shared<const TextDfa>(std::move(spellings))),
        every_spelling_(every_spelling) {}

  std::shared_ptr<const TextDfa> spellings_;  // copies of a set are cheap
  bool every_spelling_;                       // with 1.5 also 1.50: needed for a complement
};

}  // namespace qwen3
