#include "eval/tasks/chinese_number.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "eval/python/python_text.h"
#include "eval/tasks/plain_characters.h"

namespace qwen3::eval {
namespace {

constexpr size_t kBytes = 3;  // of each of these characters in UTF-8
constexpr std::pair<std::string_view, int> kDigits[] = {{"零", 0},
                                                        {"〇", 0},
                                                        {"一", 1},
                                                        {"二", 2},
                                                        {"两", 2},
                                                        {"三", 3},
                                                        {"四", 4},
                                                        {"五", 5},
                                                        {"六", 6},
                                                        {"七", 7},
                                                        {"八", 8},
                                                        {"九", 9}};
constexpr std::pair<std::string_view, int> kUnits[] = {
    {"十", 10}, {"百", 100}, {"千", 1000}, {"万", 10'000}};
constexpr std::string_view kOf = "分之", kAnd = "又";
constexpr size_t kMostCharacters = 16;

template <size_t N>
std::optional<int> find(const std::pair<std::string_view, int> (&table)[N],
                        std::string_view character) {
  for (const auto& [written, value] : table) {
    if (written == character) return value;
  }
  return std::nullopt;
}

bool is_character(std::string_view text, size_t at) {
  const std::string_view character = text.substr(at, kBytes);
  return find(kDigits, character) || find(kUnits, character);
}

// 二百零五, 十八, 三万; or digit by digit: 二〇二四. Nothing for what nobody writes: 十百.
std::optional<int64_t> value_of(std::string_view words) {
  if (words.empty() || words.size() > kMostCharacters * kBytes) return std::nullopt;
  int64_t whole = 0, below = 0, digits = 0;
  int n_digits = 0, last_unit = 10'000;
  bool has_units = false;
  for (size_t at = 0; at < words.size(); at += kBytes) {
    const std::string_view character = words.substr(at, kBytes);
    if (const auto digit = find(kDigits, character)) {
      digits = digits * 10 + *digit;
      ++n_digits;
      continue;
    }
    const int unit = *find(kUnits, character);
    has_units = true;
    const bool ten_thousand = unit == 10'000;
    if (digits > 9 || (ten_thousand ? whole > 0 : unit >= last_unit)) return std::nullopt;
    if (ten_thousand) {
      whole = std::max<int64_t>(below + digits, 1) * unit;
      below = 0;
    } else {
      below += (n_digits == 0 ? 1 : digits) * unit;
    }
    last_unit = unit;
    digits = n_digits = 0;
  }
  // 二百五 is 250, 二百零五 205.
  if (n_digits == 1 && last_unit >= 100 && has_units) digits *= last_unit / 10;
  if (has_units ? digits > 9 && n_digits > 1 : n_digits > 8) return std::nullopt;
  return whole + below + digits;
}

// The number that ends at text[end], as digits, and where it begins.
struct Found {
  size_t begin = 0, end = 0;
  std::string digits;  // empty: none
};

Found number_before(std::string_view text, size_t end) {
  size_t begin = end;
  while (begin >= kBytes && is_character(text, begin - kBytes)) begin -= kBytes;
  if (begin < end) {
    const auto value = value_of(text.substr(begin, end - begin));
    return {begin, end, value ? std::to_string(*value) : std::string()};
  }
  while (begin > 0 && is_ascii_digit(text[begin - 1])) --begin;
  return {begin, end, std::string(text.substr(begin, end - begin))};
}

Found number_behind(std::string_view text, size_t begin) {
  size_t end = begin;
  while (end + kBytes <= text.size() && is_character(text, end)) end += kBytes;
  if (end > begin) {
    const auto value = value_of(text.substr(begin, end - begin));
    return {begin, end, value ? std::to_string(*value) : std::string()};
  }
  const auto in_number = [&](size_t at) {
    return is_ascii_digit(text[at]) ||
           (text[at] == '.' && at > begin && at + 1 < text.size() && is_ascii_digit(text[at + 1]));
  };
  while (end < text.size() && in_number(end)) ++end;
  return {begin, end, std::string(text.substr(begin, end - begin))};
}

std::string with_fractions(std::string_view text) {
  std::string out;
  size_t copied = 0;
  for (size_t at = 0; (at = text.find(kOf, at)) != std::string_view::npos;) {
    const Found below = number_before(text.substr(copied), at - copied);
    const Found above = number_behind(text, at + kOf.size());
    at += kOf.size();
    if (below.digits.empty() || above.digits.empty()) continue;
    out += text.substr(copied, below.begin);
    out += below.digits == "100" ? above.digits + "%"
                                 : "\\frac{" + above.digits + "}{" + below.digits + "}";
    at = copied = above.end;
  }
  return out += text.substr(copied);
}

std::string with_spaces(std::string_view text) {
  std::string out;
  size_t copied = 0;
  for (size_t at = 0; (at = text.find(kAnd, at)) != std::string_view::npos;) {
    const Found whole = number_before(text.substr(copied), at - copied);
    out += text.substr(copied, whole.begin);
    out += whole.digits.empty() ? text.substr(copied + whole.begin, whole.end - whole.begin)
                                : whole.digits;
    out += ' ';
    at = copied = at + kAnd.size();
  }
  return out += text.substr(copied);
}

}  // namespace

std::string with_digits(std::string_view text) {
  const std::string plain = with_spaces(with_fractions(text));
  const std::string_view core = py_strip(plain);
  const Found whole = number_before(core, core.size());
  return whole.begin == 0 && !whole.digits.empty() ? whole.digits : plain;
}

}  // namespace qwen3::eval
