#include "grammar/regex_escape.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "grammar/grammar_error.h"
#include "grammar/limits.h"

namespace qwen3 {
namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// n hexadecimal digits; -1 if they are not there.
int64_t take_hex(RegexText& text, int n) {
  int64_t value = 0;
  for (int i = 0; i < n; ++i) {
    const int digit = digit_value(text.peek(static_cast<size_t>(i)));
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  text.go_to(text.pos() + static_cast<size_t>(n));
  return value;
}

char32_t take_braced_hex(RegexText& text, size_t start) {
  int64_t value = 0;
  int n_digits = 0;
  for (; digit_value(text.peek()) >= 0 && value <= 0x10FFFF; ++n_digits) {
    value = value * 16 + digit_value(text.peek());
    text.go_to(text.pos() + 1);
  }
  if (n_digits == 0 || value > 0x10FFFF || !text.skip("}")) {
    text.refuse(start, "\\u{…}: expected the hexadecimal number of a code point");
  }
  return static_cast<char32_t>(value);
}

// \uXXXX, and a surrogate pair of two of them as one code point.
char32_t take_unicode(RegexText& text, size_t start) {
  if (text.skip("{")) return take_braced_hex(text, start);
  const int64_t first = take_hex(text, 4);
  if (first < 0) text.refuse(start, "\\u: expected four hexadecimal digits or {…}");
  if (first >= 0xD800 && first < 0xDC00 && text.peek() == '\\' && text.peek(1) == 'u') {
    const size_t back = text.pos();
    text.go_to(back + 2);
    const int64_t second = take_hex(text, 4);
    if (second >= 0xDC00 && second < 0xE000) {
      return static_cast<char32_t>(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00));
    }
    text.go_to(back);
  }
  return static_cast<char32_t>(first);
}

CodePoints take_property(RegexText& text, size_t start) {
  std::string name;
  if (!text.skip("{")) text.refuse(start, "\\p: expected {name}");
  while (!text.at_end() && text.peek() != '}' && name.size() < 64) utf8_append(name, text.take());
  const auto set = CodePoints::property(name);
  if (!text.skip("}") || !set) {
    text.refuse(start,
                fmt::format("\\p{{{}}}: not known here; general categories are, as \\p{{L}} and "
                            "\\p{{Lu}}",
                            name));
  }
  return *set;
}

CodePoints digits() { return CodePoints({{'0', '9'}}); }
CodePoints words() { return CodePoints({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}); }

// ECMA-262's WhiteSpace and LineTerminator.
CodePoints blanks() {
  return CodePoints({{0x9, 0xD},
                     {0x20, 0x20},
                     {0xA0, 0xA0},
                     {0x1680, 0x1680},
                     {0x2000, 0x200A},
                     {0x2028, 0x2029},
                     {0x202F, 0x202F},
                     {0x205F, 0x205F},
                     {0x3000, 0x3000},
                     {0xFEFF, 0xFEFF}});
}

RegexEscape of_set(CodePoints set) { return {true, std::move(set), 0}; }
RegexEscape of_character(char32_t c) { return {false, {}, c}; }

RegexEscape take_control(RegexText& text, size_t start) {
  const char letter = text.peek();
  if (!((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z'))) {
    text.refuse(start, "\\c: expected a letter");
  }
  text.go_to(text.pos() + 1);
  return of_character(static_cast<char32_t>(letter % 32));
}

// Letters and digits that mean nothing as an escape are refused: other dialects give them meanings.
RegexEscape take_other(RegexText& text, size_t start, char32_t c, bool in_class) {
  if (c == 'b' && in_class) return of_character(0x8);
  if (c == 'b' || c == 'B') text.refuse(start, "word boundaries (\\b, \\B) are not supported");
  if ((c >= '1' && c <= '9') || c == 'k') text.refuse(start, "back-references are not supported");
  if (c == '0') {
    if (text.peek() >= '0' && text.peek() <= '9') {
      text.refuse(start, "octal escapes are not supported; write \\xHH");
    }
    return of_character(0);
  }
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
    text.refuse(start, fmt::format("\\{} is not an escape of ECMA-262", static_cast<char>(c)));
  }
  return of_character(c);
}

}  // namespace

RegexText::RegexText(std::string_view text, std::string_view place) : text_(text), place_(place) {
  if (std::ssize(text) > kMaxRegexBytes) {
    throw GrammarError(
        GrammarFault::too_complex,
        place_,
        fmt::format(
            "a regular expression of {} bytes; at most {} are taken", text.size(), kMaxRegexBytes));
  }
  const size_t invalid = utf8_first_invalid(text);
  if (invalid != std::string_view::npos) refuse(invalid, "not UTF-8");
}

bool RegexText::skip(std::string_view expected) {
  if (!text_.substr(pos_).starts_with(expected)) return false;
  pos_ += expected.size();
  return true;
}

char32_t RegexText::take() { return utf8_decode(text_, pos_); }

int64_t RegexText::take_number() {
  int64_t value = -1;
  for (; peek() >= '0' && peek() <= '9'; ++pos_) {
    value = std::max<int64_t>(value, 0) * 10 + (peek() - '0');
    if (value > kMaxRepeat) {
      throw GrammarError(
          GrammarFault::too_complex,
          place_,
          fmt::format("regular expression, byte {}: a repetition beyond {}", pos_, kMaxRepeat));
    }
  }
  return value;
}

void RegexText::refuse(size_t where, const std::string& message) const {
  throw GrammarError(GrammarFault::invalid_regex,
                     place_,
                     fmt::format("regular expression, byte {}: {}", where, message));
}

RegexEscape take_escape(RegexText& text, bool in_class) {
  const size_t start = text.pos() - 1;
  if (text.at_end()) text.refuse(start, "a backslash with nothing behind it");
  const char32_t c = text.take();
  switch (c) {
    case 'd':
      return of_set(digits());
    case 'D':
      return of_set(digits().complement());
    case 'w':
      return of_set(words());
    case 'W':
      return of_set(words().complement());
    case 's':
      return of_set(blanks());
    case 'S':
      return of_set(blanks().complement());
    case 'p':
      return of_set(take_property(text, start));
    case 'P':
      return of_set(take_property(text, start).complement());
    case 't':
      return of_character('\t');
    case 'n':
      return of_character('\n');
    case 'v':
      return of_character('\v');
    case 'f':
      return of_character('\f');
    case 'r':
      return of_character('\r');
    case 'c':
      return take_control(text, start);
    case 'u':
      return of_character(take_unicode(text, start));
    case 'x': {
      const int64_t value = take_hex(text, 2);
      if (value < 0) text.refuse(start, "\\x: expected two hexadecimal digits");
      return of_character(static_cast<char32_t>(value));
    }
    default:
      return take_other(text, start, c, in_class);
  }
}

}  // namespace qwen3
