// What stands behind a backslash of a regular expression.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "grammar/code_points.h"

namespace qwen3 {

// Reads a regular expression from left to right and says where it is wrong.
class RegexText {
 public:
  // Throws GrammarError{invalid_regex, too_complex}: not UTF-8, too long.
  RegexText(std::string_view text, std::string_view place);

  bool at_end() const { return pos_ == text_.size(); }
  size_t pos() const { return pos_; }
  void go_to(size_t pos) { pos_ = pos; }
  // The next byte, 0 at the end; ASCII characters are what the syntax is made of.
  char peek(size_t ahead = 0) const {
    return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0';
  }
  bool skip(std::string_view expected);
  char32_t take();  // a code point. REQUIRES: !at_end()

  // The digits there: -1 if none. Beyond kMaxRepeat: too_complex.
  int64_t take_number();

  [[noreturn]] void refuse(size_t where, const std::string& message) const;

 private:
  std::string_view text_;
  std::string place_;
  size_t pos_ = 0;
};

// One escape, behind its backslash: a character, or a set (\d, \p{L}; then `is_set`).
struct RegexEscape {
  bool is_set = false;
  CodePoints set;
  char32_t character = 0;
};
RegexEscape take_escape(RegexText& text, bool in_class);

}  // namespace qwen3
