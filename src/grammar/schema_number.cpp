#include "grammar/schema_number.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "grammar/schema_document.h"
#include "grammar/schema_number_order.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxResidues = 1000;
constexpr int64_t kMaxDecimalDigits = 1000;  // a double has at most 309 before the point
constexpr int64_t kMaxExponent = int64_t{1} << 40;

const TextDfa& number_spellings() {
  static const TextDfa spellings = TextDfa::full_match("-?(0|[1-9][0-9]*)(\\.[0-9]+)?");
  return spellings;
}

const TextDfa& integer_spellings() {
  static const TextDfa spellings = TextDfa::full_match("-?(0|[1-9][0-9]*)");
  return spellings;
}

}  // namespace

std::string Decimal::text() const {
  if (digits.empty()) return "0";
  const auto n = static_cast<int64_t>(digits.size());
  const std::string sign = negative ? "-" : "";
  if (exponent >= 0) return sign + digits + std::string(static_cast<size_t>(exponent), '0');
  const int64_t point = n + exponent;
  if (point <= 0) return sign + "0." + std::string(static_cast<size_t>(-point), '0') + digits;
  return sign + digits.substr(0, static_cast<size_t>(point)) + "." +
         digits.substr(static_cast<size_t>(point));
}

bool Decimal::has_many_digits() const {
  return std::ssize(digits) + std::max(exponent, -exponent) > kMaxDecimalDigits;
}

Decimal to_decimal(std::string_view text) {
  Decimal out;
  out.negative = text.starts_with('-');
  if (const size_t e = text.find_first_of("eE"); e != text.npos) {
    std::string_view exponent = text.substr(e + 1);
    if (exponent.starts_with('+')) exponent.remove_prefix(1);
    const auto [end, error] =
        std::from_chars(exponent.data(), exponent.data() + exponent.size(), out.exponent);
    if (error == std::errc::result_out_of_range) {
      out.exponent = exponent.starts_with('-') ? -kMaxExponent : kMaxExponent;
    }
    out.exponent = std::clamp(out.exponent, -kMaxExponent, kMaxExponent);
    text = text.substr(0, e);
  }
  const size_t point = text.find('.');
  if (point != text.npos) out.exponent -= static_cast<int64_t>(text.size() - point - 1);
  for (const char c : text) {
    if (c >= '0' && c <= '9' && (c != '0' || !out.digits.empty())) out.digits += c;
  }
  while (out.digits.ends_with('0')) {
    out.digits.pop_back();
    ++out.exponent;
  }
  if (out.digits.empty()) out = Decimal{};
  return out;
}

Decimal shortest_decimal(double number) {
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific);
  return to_decimal(std::string_view(buffer, static_cast<size_t>(end.ptr - buffer)));
}

Decimal to_decimal(const Json& number, const ExactNumbers& numbers, const std::string& place) {
  if (number.is_number_unsigned()) return to_decimal(std::to_string(number.get<uint64_t>()));
  if (!number.is_number_float()) return to_decimal(std::to_string(number.get<int64_t>()));
  const auto value = number.get<double>();
  const std::optional<std::string> written = numbers.digits(value, place);
  Decimal out = written ? to_decimal(*written) : shortest_decimal(value);
  if (out.has_many_digits()) {
    fail_schema(GrammarFault::too_complex,
                place,
                fmt::format("a number of more than {} digits", kMaxDecimalDigits));
  }
  return out;
}

NumberSet NumberSet::none() {
  static const NumberSet set(TextDfa::none(), true);
  return set;
}

NumberSet NumberSet::all() {
  static const NumberSet set(number_spellings(), true);
  return set;
}

NumberSet NumberSet::integers() {
  static const NumberSet set(divisible_spellings(1, 0), true);
  return set;
}

NumberSet NumberSet::at_least(const Decimal& bound) {
  return {compared_spellings(NumberOrder::greater_or_equal, bound), true};
}
NumberSet NumberSet::above(const Decimal& bound) {
  return {compared_spellings(NumberOrder::greater, bound), true};
}
NumberSet NumberSet::at_most(const Decimal& bound) {
  return {compared_spellings(NumberOrder::less_or_equal, bound), true};
}
NumberSet NumberSet::below(const Decimal& bound) {
  return {compared_spellings(NumberOrder::less, bound), true};
}

NumberSet NumberSet::multiples(const Decimal& divisor, const std::string& place) {
  // 2.5 is 25 tenths: one digit behind the point counts. 200 is 2 hundreds, and 200 whole ones.
  int64_t whole = 0;
  const std::string digits =
      divisor.digits +
      std::string(static_cast<size_t>(std::clamp<int64_t>(divisor.exponent, 0, 4)), '0');
  for (const char c : digits) whole = std::min<int64_t>(whole * 10 + (c - '0'), kMaxResidues + 1);
  if (whole > kMaxResidues) {
    fail_schema(GrammarFault::too_complex,
                place,
                fmt::format("{} has more than {} residues", divisor.text(), kMaxResidues));
  }
  return {divisible_spellings(whole, std::max<int64_t>(-divisor.exponent, 0)), true};
}

NumberSet NumberSet::of(const std::vector<Decimal>& values) {
  std::vector<std::string> texts;
  for (const Decimal& value : values) texts.push_back(value.text());
  return {TextDfa::of(texts), false};
}

NumberSet NumberSet::operator&(const NumberSet& other) const {
  if (spellings_ == other.spellings_) return *this;
  if (spellings_ == all().spellings_) return other;
  if (other.spellings_ == all().spellings_) return *this;
  return {*spellings_ & *other.spellings_, every_spelling_ && other.every_spelling_};
}

NumberSet NumberSet::operator|(const NumberSet& other) const {
  if (spellings_ == other.spellings_ || other.empty()) return *this;
  if (empty()) return other;
  return {*spellings_ | *other.spellings_, every_spelling_ && other.every_spelling_};
}

NumberSet NumberSet::complement() const {
  if (empty()) return all();
  if (spellings_ == all().spellings_) return none();
  TextDfa spellings = *spellings_;
  if (!every_spelling_) {  // zeros at the end, and the sign of zero
    const TextDfa whole = spellings & integer_spellings();
    const TextDfa broken = spellings & integer_spellings().complement();
    spellings = spellings | whole.then(TextDfa::full_match("(\\.0+)?")) |
                broken.then(TextDfa::full_match("0*"));
    if (spellings.contains("0")) spellings = spellings | TextDfa::full_match("-0(\\.0+)?");
  }
  return {number_spellings() & spellings.complement(), true};
}

bool NumberSet::universal() const {
  if (spellings_ == all().spellings_) return true;
  return every_spelling_ && (number_spellings() & spellings_->complement()).empty();
}

bool NumberSet::only_integers() const {
  return (*spellings_ & integers().spellings_->complement()).empty();
}

TextDfa NumberSet::written() const {
  return only_integers() ? *spellings_ & integer_spellings() : *spellings_;
}

TextDfa NumberSet::shortest() const {
  return *spellings_ & TextDfa::full_match("0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\\.[0-9]*[1-9]");
}

}  // namespace qwen3
