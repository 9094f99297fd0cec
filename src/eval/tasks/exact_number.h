// Numbers as mathematics writes them, read exactly: 1/3 is a third, not 0.333.
#pragma once

#include <boost/multiprecision/cpp_int.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace qwen3::eval {

using Rational = boost::multiprecision::cpp_rational;

struct ExactNumber {
  Rational value;
  bool percent = false;  // written with a percent sign; the value is the number in front of it
};

// The whole of `text` as a number, or nothing:
//   12  -3.50  +7  .5  1,234,567  1 234  6.02e23  1.5\times 10^{-3}  10^6
//   3/4  -\frac{3}{4}  \dfrac34  2\frac{1}{2}  2 1/2  50%  50\%  $5  \$5  \sqrt is none
// At most 1,000 digits, and exponents to 1,000.
std::optional<ExactNumber> parse_exact_number(std::string_view text);

// "3/4", "12", "50%"
std::string show(const ExactNumber& number);

// Equal values; where one is a percentage and the other is not, 50% equals 0.5 and 50: data sets
// ask "what percent" and keep 50.
bool same_number(const ExactNumber& a, const ExactNumber& b);

// The last number in a running text, as written: digits with sign, commas, point, fraction,
// percent. Empty when there is none.
std::string_view last_number_in(std::string_view text);

}  // namespace qwen3::eval
