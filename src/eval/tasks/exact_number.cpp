#include "eval/tasks/exact_number.h"

#include <algorithm>
#include <charconv>

#include "eval/tasks/answer_text.h"
#include "eval/tasks/plain_characters.h"

namespace qwen3::eval {
namespace {

using boost::multiprecision::cpp_int;

constexpr size_t kMaxDigits = 1000;
constexpr int kMaxExponent = 1000;

cpp_int power_of_ten(int exponent) {
  return boost::multiprecision::pow(cpp_int(10), static_cast<unsigned>(exponent));
}

Rational scaled(const Rational& value, int exponent) {
  return exponent >= 0 ? value * Rational(power_of_ten(exponent))
                       : value / Rational(power_of_ten(-exponent));
}

// A cursor over the text with everything that only decorates taken away.
class NumberReader {
 public:
  explicit NumberReader(std::string_view text) : text_(text) {}

  std::optional<ExactNumber> read() {
    const bool negative = sign();
    std::optional<Rational> value = magnitude();
    if (!value) return std::nullopt;
    ExactNumber number{negative ? Rational(-*value) : *value, false};
    number.percent = accept("%");
    if (at_ != text_.size()) return std::nullopt;
    return number;
  }

 private:
  bool accept(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool digit_next() const { return at_ < text_.size() && is_ascii_digit(text_[at_]); }

  bool sign() {
    if (accept("-")) return true;
    accept("+");
    return false;
  }

  // The digits here, commas between thousands left out; nothing when there is none.
  std::optional<std::string> digits(bool commas) {
    std::string out;
    while (at_ < text_.size() && out.size() <= kMaxDigits) {
      const bool comma = commas && text_[at_] == ',' && !out.empty() && group_of_three(at_ + 1);
      if (!comma && !is_ascii_digit(text_[at_])) break;
      if (!comma) out += text_[at_];
      ++at_;
    }
    if (out.empty() || out.size() > kMaxDigits) return std::nullopt;
    return out;
  }
  bool group_of_three(size_t from) const {
    for (size_t i = from; i < from + 3; ++i) {
      if (i >= text_.size() || !is_ascii_digit(text_[i])) return false;
    }
    return from + 3 >= text_.size() || !is_ascii_digit(text_[from + 3]);
  }

  static Rational from_digits(std::string digits) {
    digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
    return Rational(cpp_int(digits));  // a leading zero would mean octal
  }

  // An exponent in braces or bare: {-3}, 6.
  std::optional<int> exponent() {
    const bool brace = accept("{");
    const bool negative = sign();
    const auto text = digits(false);
    if (!text || text->size() > 4 || (brace && !accept("}"))) return std::nullopt;
    int value = 0;
    std::from_chars(text->data(), text->data() + text->size(), value);
    if (value > kMaxExponent) return std::nullopt;
    return negative ? -value : value;
  }

  std::optional<Rational> decimal() {
    const auto whole = digits(true);
    Rational value = whole ? from_digits(*whole) : Rational(0);
    if (accept(".")) {
      const auto fraction = digits(false);
      if (!whole && !fraction) return std::nullopt;
      if (fraction) {
        value += scaled(from_digits(*fraction), -static_cast<int>(fraction->size()));
      }
    } else if (!whole) {
      return std::nullopt;
    }
    return value;
  }

  // a/b after a; the second number has neither sign nor exponent.
  std::optional<Rational> divided(const Rational& numerator) {
    const auto denominator = decimal();
    if (!denominator || *denominator == 0) return std::nullopt;
    return numerator / *denominator;
  }

  // The two arguments of \frac: {…} or a single digit each.
  std::optional<Rational> fraction_argument() {
    if (accept("{")) {
      const bool negative = sign();
      const auto value = decimal();
      if (!value || !accept("}")) return std::nullopt;
      return negative ? Rational(-*value) : *value;
    }
    if (!digit_next()) return std::nullopt;
    return Rational(text_[at_++] - '0');
  }
  std::optional<Rational> fraction() {
    const auto numerator = fraction_argument();
    const auto denominator = numerator ? fraction_argument() : std::nullopt;
    if (!denominator || *denominator == 0) return std::nullopt;
    return *numerator / *denominator;
  }

  std::optional<Rational> times_power(const Rational& value) {
    const auto power = exponent();
    return power ? std::optional<Rational>(scaled(value, *power)) : std::nullopt;
  }

  std::optional<Rational> magnitude() {
    if (accept("\\frac")) return fraction();
    if (accept("10^")) return times_power(Rational(1));
    const size_t start = at_;
    auto value = decimal();
    if (!value) return std::nullopt;
    const bool whole = text_.substr(start, at_ - start).find('.') == std::string_view::npos;
    if (accept("e") || accept("E")) return times_power(*value);
    if (accept("*10^")) return times_power(*value);
    if (accept("/")) return divided(*value);
    if (whole && accept("\\frac")) {
      const auto part = fraction();
      return part ? std::optional<Rational>(*value + *part) : std::nullopt;
    }
    if (whole && accept("&")) {  // a mixed number: 2 1/2
      const auto numerator = decimal();
      if (!numerator || !accept("/")) return std::nullopt;
      const auto part = divided(*numerator);
      return part ? std::optional<Rational>(*value + *part) : std::nullopt;
    }
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
};

// One spelling for everything the reader knows; a space between two digits becomes '&'.
std::string plain_spelling(std::string_view text) {
  std::string plain(text);
  for (const std::string_view gone : {"\\left",
                                      "\\right",
                                      "\\!",
                                      "\\,",
                                      "\\;",
                                      "\\:",
                                      "\\ ",
                                      "\\$",
                                      "$",
                                      "\\(",
                                      "\\)",
                                      "\\[",
                                      "\\]",
                                      "~",
                                      "\xE2\x82\xAC"}) {
    replace_all(plain, gone, "");
  }
  replace_all(plain, "\\%", "%");
  replace_all(plain, "\\dfrac", "\\frac");
  replace_all(plain, "\\tfrac", "\\frac");
  replace_all(plain, "\xE2\x88\x92", "-");  // the minus sign U+2212
  replace_all(plain, "\\times", "*");
  replace_all(plain, "\\cdot", "*");
  replace_all(plain, "\xC3\x97", "*");  // the times sign U+00D7
  replace_all(plain, "{,}", ",");
  std::string out;
  for (size_t at = 0; at < plain.size(); ++at) {
    if (plain[at] != ' ' && plain[at] != '\t' && plain[at] != '\n') {
      out += plain[at];
      continue;
    }
    const size_t next = std::min(plain.find_first_not_of(" \t\n", at), plain.size());
    const bool between = !out.empty() && is_ascii_digit(out.back()) && next < plain.size() &&
                         is_ascii_digit(plain[next]);
    if (between) out += '&';
    at = next - 1;
  }
  return out;
}

}  // namespace

std::optional<ExactNumber> parse_exact_number(std::string_view text) {
  if (text.size() > 4 * kMaxDigits) return std::nullopt;
  std::string plain = plain_spelling(text);
  if (plain.ends_with('.')) plain.pop_back();  // the end of a sentence
  if (auto number = NumberReader(plain).read()) return number;
  // Spaces between digits that make no mixed number group thousands: 1 234 567.
  if (plain.find('&') == std::string::npos) return std::nullopt;
  std::string grouped;
  for (size_t at = 0; at < plain.size(); ++at) {
    if (plain[at] != '&') {
      grouped += plain[at];
      continue;
    }
    const size_t end = std::min(plain.find_first_not_of("0123456789", at + 1), plain.size());
    if (end - at != 4) return std::nullopt;
  }
  return NumberReader(grouped).read();
}

std::string show(const ExactNumber& number) {
  return number.value.str() + (number.percent ? "%" : "");
}

bool same_number(const ExactNumber& a, const ExactNumber& b) {
  if (a.value == b.value) return true;
  if (a.percent == b.percent) return false;
  const Rational hundred(100);
  return a.percent ? a.value == b.value * hundred : b.value == a.value * hundred;
}

std::string_view last_number_in(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && !is_ascii_digit(text[end - 1])) --end;
  if (end == 0) return {};
  size_t start = end;
  const auto part = [&](size_t at) {
    const char c = text[at];
    if (is_ascii_digit(c)) return true;
    if (c != '.' && c != ',' && c != '/') return false;
    return at > 0 && is_ascii_digit(text[at - 1]);
  };
  while (start > 0 && part(start - 1)) --start;
  if (start > 0 && text[start - 1] == '.') --start;  // .5
  // A minus after a digit or a letter subtracts or joins: "7-3", "covid-19".
  const auto joins = [](char c) {
    return is_ascii_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ')';
  };
  if (start > 0 && text[start - 1] == '-' && (start == 1 || !joins(text[start - 2]))) --start;
  const std::string_view behind = text.substr(end);
  const size_t percent = behind.starts_with("%") ? 1 : behind.starts_with("\\%") ? 2 : 0;
  return text.substr(start, end + percent - start);
}

}  // namespace qwen3::eval
