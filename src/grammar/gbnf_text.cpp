#include "grammar/gbnf_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "grammar/gbnf_tree.h"
#include "grammar/grammar_error.h"
#include "grammar/limits.h"

namespace qwen3 {

GbnfText::GbnfText(std::string_view source) : source_(source) {
  if (std::ssize(source) > kMaxGbnfBytes) {
    throw GrammarError(
        GrammarFault::too_complex,
        "",
        fmt::format("a grammar of {} bytes; at most {} are taken", source.size(), kMaxGbnfBytes));
  }
  if (!utf8_valid(source)) refuse(utf8_first_invalid(source), "not UTF-8");
}

bool GbnfText::is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

void GbnfText::refuse(size_t pos, const std::string& message) const {
  throw GrammarError(GrammarFault::invalid_grammar, gbnf_place(source_, pos), message);
}

bool GbnfText::skip(std::string_view expected) {
  if (!source_.substr(pos_).starts_with(expected)) return false;
  pos_ += expected.size();
  return true;
}

void GbnfText::skip_blanks() {
  while (pos_ < source_.size()) {
    if (peek() == '#') {
      pos_ = std::min(source_.find('\n', pos_), source_.size());
    } else if (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n') {
      ++pos_;
    } else {
      return;
    }
  }
}

int64_t GbnfText::take_number() {
  skip_blanks_of_line();
  int64_t value = -1;
  for (; peek() >= '0' && peek() <= '9'; ++pos_) {
    value = std::max<int64_t>(value, 0) * 10 + (peek() - '0');
    if (value > kMaxRepeat) {
      throw GrammarError(GrammarFault::too_complex,
                         gbnf_place(source_, pos_),
                         fmt::format("a repetition beyond {}", kMaxRepeat));
    }
  }
  if (value < 0) refuse(pos_, "expected a number");
  return value;
}

char32_t GbnfText::take_character(size_t begin, char end) {
  if (pos_ >= source_.size()) refuse(begin, fmt::format("expected {} behind it", end));
  if (!skip("\\")) return utf8_decode(source_, pos_);
  const size_t escape = pos_ - 1;
  if (pos_ >= source_.size()) refuse(escape, "a backslash with nothing behind it");
  const char c = source_[pos_++];
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'x':
      return take_hex(escape, 2);
    case 'u':
      return take_hex(escape, 4);
    case 'U':
      return take_hex(escape, 8);
    default:
      break;
  }
  if (static_cast<uint8_t>(c) >= 0x80 || is_name(c) || static_cast<uint8_t>(c) <= ' ') {
    if (c != '-' && c != '_') refuse(escape, "an escape that GBNF does not have");
  }
  return static_cast<char32_t>(c);
}

char32_t GbnfText::take_hex(size_t escape, int n) {
  int64_t value = 0;
  for (int i = 0; i < n; ++i, ++pos_) {
    const char c = peek();
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) refuse(escape, fmt::format("expected {} hexadecimal digits", n));
    value = value * 16 + digit;
  }
  if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) refuse(escape, "not a code point");
  return static_cast<char32_t>(value);
}

void GbnfText::skip_blanks_of_line() {
  while (peek() == ' ' || peek() == '\t') ++pos_;
}

std::string_view GbnfText::take_name() {
  const size_t begin = pos_;
  while (is_name(peek())) ++pos_;
  return source_.substr(begin, pos_ - begin);
}

std::string gbnf_place(std::string_view source, size_t pos) {
  const std::string_view before = source.substr(0, pos);
  const size_t line_begin =
      before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return fmt::format(
      "{}:{}", std::count(before.begin(), before.end(), '\n') + 1, pos - line_begin + 1);
}

}  // namespace qwen3
