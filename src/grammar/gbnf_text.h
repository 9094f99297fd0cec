// The characters of a GBNF grammar, from left to right.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace qwen3 {

class GbnfText {
 public:
  // GrammarError{invalid_grammar, too_complex}: not UTF-8, too long.
  explicit GbnfText(std::string_view source);

 protected:
  [[noreturn]] void refuse(size_t pos, const std::string& message) const;

  static bool is_name(char c);
  char peek(size_t ahead = 0) const {
    return pos_ + ahead < source_.size() ? source_[pos_ + ahead] : '\0';
  }
  bool skip(std::string_view expected);
  void skip_blanks();  // line ends and comments too
  void skip_blanks_of_line();

  std::string_view take_name();
  int64_t take_number();
  // A character of a text or class, which `end` ends.
  char32_t take_character(size_t begin, char end);

  std::string_view source_;
  size_t pos_ = 0;

 private:
  char32_t take_hex(size_t escape, int n);
};

}  // namespace qwen3
