#include "chat/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/text.h"
#include "base/utf8.h"
#include "chat/jinja/unicode.h"

namespace qwen3::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Newlines become \n; one at the very end is dropped.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      if (i + 1 < source.size() && source[i + 1] == '\n') continue;
      out += '\n';
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view where)
      : source_(normalize_newlines(source)), text_(source_), where_(where) {}

  std::vector<Token> run() {
    while (pos_ < text_.size()) lex_data();
    push(TokenType::end);
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void error(const std::string& what) const { syntax_error(where_, line_, what); }

  bool starts(std::string_view what, size_t at) const { return text_.substr(at).starts_with(what); }
  bool starts(std::string_view what) const { return starts(what, pos_); }

  // Moves to `to` and counts the lines passed.
  void advance(size_t to) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<ptrdiff_t>(pos_),
                                         text_.begin() + static_cast<ptrdiff_t>(to),
                                         '\n'));
    pos_ = to;
  }

  size_t skip_space(size_t at) const {
    while (at < text_.size()) {
      size_t next = at;
      if (!python_is_space(utf8_decode(text_, next))) break;
      at = next;
    }
    return at;
  }

  Token& push(TokenType type, std::string text = {}) {
    tokens_.push_back({type, line_, std::move(text)});
    return tokens_.back();
  }

  // The end of the data in front of a tag, after the tag's strip sign and lstrip_blocks.
  std::string_view strip_before(std::string_view data, char sign, bool is_variable) const {
    if (sign == '-') {
      size_t end = data.size();
      while (end > 0) {
        size_t at = end - 1;
        while (at > 0 && (static_cast<unsigned char>(data[at]) & 0xC0) == 0x80) --at;
        size_t next = at;
        if (!python_is_space(utf8_decode(data, next))) break;
        end = at;
      }
      return data.substr(0, end);
    }
    if (sign == '+' || is_variable) return data;
    const size_t newline = data.rfind('\n');
    const size_t line_start = newline == data.npos ? 0 : newline + 1;
    if (line_start == 0 && !line_starting_) return data;
    for (size_t at = line_start; at < data.size();) {
      if (!python_is_space(utf8_decode(data, at))) return data;
    }
    return data.substr(0, line_start);
  }

  char sign_at(size_t at) const {
    return at < text_.size() && (text_[at] == '-' || text_[at] == '+') ? text_[at] : '\0';
  }

  void push_data(std::string_view data) {
    if (!data.empty()) push(TokenType::data, std::string(data));
  }

  // Data up to the next tag, then the tag.
  void lex_data() {
    const size_t start = pos_;
    size_t tag = start;
    while (true) {
      tag = text_.find('{', tag);
      if (tag == text_.npos || tag + 1 >= text_.size()) {
        push_data(text_.substr(start));
        return advance(text_.size());
      }
      if (const char c = text_[tag + 1]; c == '%' || c == '{' || c == '#') break;
      ++tag;
    }
    const char kind = text_[tag + 1];
    const char sign = sign_at(tag + 2);
    push_data(strip_before(text_.substr(start, tag - start), sign, kind == '{'));
    advance(tag);
    const size_t inside = tag + 2 + (sign != '\0');
    if (kind == '#') return lex_comment(inside);
    if (kind == '%' && lex_raw(inside)) return;
    push(kind == '{' ? TokenType::variable_begin : TokenType::block_begin);
    advance(inside);
    lex_expression(kind == '{');
  }

  // Steps over "-%}" with the white space after it, or "%}" with one newline, or "+%}".
  // `at` points to the sign or to the closing bracket.
  void close_tag(size_t at, bool trim) {
    const char sign = sign_at(at);
    size_t end = at + 2 + (sign != '\0');
    if (sign == '-')
      end = skip_space(end);
    else if (sign == '\0' && trim && end < text_.size() && text_[end] == '\n')
      ++end;
    advance(end);
    line_starting_ = text_[end - 1] == '\n';
  }

  void lex_comment(size_t inside) {
    const size_t close = text_.find("#}", inside);
    if (close == text_.npos) error("missing end of comment tag");
    const size_t sign = close > inside && sign_at(close - 1) != '\0' ? close - 1 : close;
    advance(close);
    close_tag(sign, true);
  }

  // {% raw %} ... {% endraw %}. False when the tag at hand is another one.
  bool lex_raw(size_t inside) {
    size_t at = skip_space(inside);
    if (!starts("raw", at)) return false;
    at = skip_space(at + 3);
    const bool strip = starts("-%}", at);
    if (!strip && !starts("%}", at)) return false;
    at += strip ? 3 : 2;
    if (strip) at = skip_space(at);
    advance(at);
    line_starting_ = text_[at - 1] == '\n';
    for (size_t tag = text_.find("{%", at); tag != text_.npos; tag = text_.find("{%", tag + 1)) {
      const char sign = sign_at(tag + 2);
      size_t end = skip_space(tag + 2 + (sign != '\0'));
      if (!starts("endraw", end)) continue;
      end = skip_space(end + 6);
      if (!starts("%}", end) && !starts("-%}", end) && !starts("+%}", end)) continue;
      push_data(strip_before(text_.substr(at, tag - at), sign, false));
      advance(end);
      close_tag(end, true);
      return true;
    }
    error("missing end of raw directive");
  }

  // Tokens up to the closing bracket. Brackets inside must balance before it counts as such.
  void lex_expression(bool is_variable) {
    const std::string_view close = is_variable ? "}}" : "%}";
    std::string open;
    while (true) {
      const size_t at = skip_space(pos_);
      advance(at);
      if (at >= text_.size()) error("unexpected end of template inside a tag");
      if (open.empty()) {
        const bool sign = text_[at] == '-' || (text_[at] == '+' && !is_variable);
        if (starts(close, at + (sign ? 1 : 0)) && at + (sign ? 1 : 0) < text_.size()) {
          push(is_variable ? TokenType::variable_end : TokenType::block_end);
          return close_tag(at, !is_variable);
        }
      }
      const char c = text_[at];
      if (is_digit(c))
        lex_number();
      else if (is_name_char(c))
        lex_name();
      else if (c == '\'' || c == '"')
        lex_string();
      else
        lex_operator(open);
    }
  }

  void lex_name() {
    size_t end = pos_;
    while (end < text_.size() && is_name_char(text_[end])) ++end;
    push(TokenType::name, std::string(text_.substr(pos_, end - pos_)));
    pos_ = end;
  }

  // Digits with single underscores between them, from `at`; returns the end.
  size_t digits_end(size_t at) const {
    while (at < text_.size() &&
           (is_digit(text_[at]) ||
            (text_[at] == '_' && at + 1 < text_.size() && is_digit(text_[at + 1])))) {
      ++at;
    }
    return at;
  }

  void lex_number() {
    size_t end = digits_end(pos_);
    bool is_float = false;
    const bool after_dot = pos_ > 0 && text_[pos_ - 1] == '.';
    if (!after_dot) {
      if (end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
        end = digits_end(end + 1);
        is_float = true;
      }
      if (end < text_.size() && (text_[end] | 0x20) == 'e') {
        size_t exponent = end + 1;
        if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-'))
          ++exponent;
        if (exponent < text_.size() && is_digit(text_[exponent])) {
          end = digits_end(exponent);
          is_float = true;
        }
      }
    }
    if (is_float) return push_float(end);
    push_integer(end);
  }

  void push_float(size_t end) {
    std::string digits(text_.substr(pos_, end - pos_));
    std::erase(digits, '_');
    double value = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (read.ec != std::errc()) error("number " + digits + " does not fit a double");
    push(TokenType::floating).floating = value;
    pos_ = end;
  }

  void push_integer(size_t end) {
    int base = 10;
    if (text_[pos_] == '0' && end == pos_ + 1 && end + 1 < text_.size()) {
      const char mark = static_cast<char>(text_[end] | 0x20);
      base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
      if (base != 10) end = lex_based(base);
      if (end == pos_) base = 10, end = pos_ + 1;
    }
    if (base == 10 && text_[pos_] == '0') {
      end = pos_;
      while (end < text_.size() && (text_[end] == '0' || (text_[end] == '_' && starts("_0", end))))
        ++end;
    }
    std::string digits(
        text_.substr(pos_ + (base == 10 ? 0 : 2), end - pos_ - (base == 10 ? 0 : 2)));
    std::erase(digits, '_');
    Int value = 0;
    for (const char c : digits) {
      const int digit = is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
      if (__builtin_mul_overflow(value, Int{base}, &value) ||
          __builtin_add_overflow(value, Int{digit}, &value)) {
        error("integer too large");
      }
    }
    push(TokenType::integer).integer = value;
    pos_ = end;
  }

  // End of a 0x / 0o / 0b number, or pos_ when there is none.
  size_t lex_based(int base) const {
    const auto fits = [&](size_t at) {
      if (at >= text_.size()) return false;
      const char c = text_[at];
      const int digit = is_digit(c)                              ? c - '0'
                        : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                                 : 99;
      return digit < base;
    };
    size_t at = pos_ + 2;
    while (fits(at) || (at < text_.size() && text_[at] == '_' && fits(at + 1))) ++at;
    return at == pos_ + 2 ? pos_ : at;
  }

  void lex_string() {
    const char quote = text_[pos_];
    size_t end = pos_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) error("string without closing quote");
    push(TokenType::string, unescape(text_.substr(pos_ + 1, end - pos_ - 1)));
    advance(end + 1);
  }

  // Python's unicode-escape: unknown escapes keep their backslash.
  std::string unescape(std::string_view raw) const {
    static constexpr std::string_view kFrom = "\\'\"abfnrtv";
    static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    std::string out;
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '\\' || i + 1 >= raw.size()) {
        out += raw[i];
        continue;
      }
      const char c = raw[++i];
      if (const size_t simple = kFrom.find(c); simple != kFrom.npos) {
        out += kTo[simple];
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        append_code(out, raw.substr(i + 1, n), n, 16);
        i += n;
      } else if (c >= '0' && c <= '7') {
        size_t n = 1;
        while (n < 3 && i + n < raw.size() && raw[i + n] >= '0' && raw[i + n] <= '7') ++n;
        append_code(out, raw.substr(i, n), n, 8);
        i += n - 1;
      } else if (c == 'N') {
        error("\\N{...} escapes are not supported");
      } else if (c != '\n') {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  void append_code(std::string& out, std::string_view digits, size_t n, int base) const {
    uint32_t code = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), code, base);
    if (digits.size() != n || read.ec != std::errc() || read.ptr != digits.data() + n) {
      error("truncated character escape in a string");
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      error("character escape is not a Unicode character");
    }
    utf8_append(out, static_cast<char32_t>(code));
  }

  void lex_operator(std::string& open) {
    static constexpr std::string_view kDouble[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kSingle = "+-/*%~[](){}><=.:|,;";
    for (const std::string_view op : kDouble) {
      if (starts(op)) {
        push(TokenType::op, std::string(op));
        pos_ += 2;
        return;
      }
    }
    const char c = text_[pos_];
    if (kSingle.find(c) == kSingle.npos) {
      error(fmt::format("unexpected character 0x{:02x}", static_cast<unsigned char>(c)));
    }
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) error(fmt::format("unexpected '{}'", c));
      open.pop_back();
    }
    push(TokenType::op, std::string(1, c));
    ++pos_;
  }

  std::string source_;
  std::string_view text_;
  std::string_view where_;
  std::vector<Token> tokens_;
  size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
};

}  // namespace

void syntax_error(std::string_view where, int line, const std::string& what) {
  throw Error(ErrorKind::corrupt_file,
              utf8_lossy(fmt::format("{}: line {}: {}", where, line, what)));
}

std::vector<Token> tokenize(std::string_view source, std::string_view where) {
  return Lexer(source, where).run();
}

}  // namespace qwen3::jinja
