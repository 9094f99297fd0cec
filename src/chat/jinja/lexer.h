// Cuts a template into tokens and applies whitespace control, as Jinja's lexer does with
// trim_blocks and lstrip_blocks on and keep_trailing_newline off:
//
//   {%- ... -%}   strip white space before / after the tag
//   {%+ ... +%}   switch lstrip / trim off for this tag
//   {% ... %}     alone on its line: the indentation before and the newline after vanish
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/value.h"

namespace qwen3::jinja {

enum class TokenType {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  floating,
  op,
  end
};

struct Token {
  TokenType type = TokenType::end;
  int line = 1;
  std::string text;  // data, name, unescaped string, operator
  Int integer = 0;
  double floating = 0;

  bool is(TokenType t) const { return type == t; }
  bool is_op(std::string_view op) const { return type == TokenType::op && text == op; }
  bool is_name(std::string_view n) const { return type == TokenType::name && text == n; }
};

// Throws Error{corrupt_file}: "where: line N: ...".
std::vector<Token> tokenize(std::string_view source, std::string_view where);

[[noreturn]] void syntax_error(std::string_view where, int line, const std::string& what);

}  // namespace qwen3::jinja
