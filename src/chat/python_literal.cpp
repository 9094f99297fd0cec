// Python literals as JSON text (chat/json_text.h), after the Python reference, section 2.4 and 6.2.
#include <charconv>
#include <set>

#include "base/utf8.h"
#include "chat/json_text.h"

namespace qwen3 {
namespace {

constexpr int kMaxDepth = 60;  // of what parse_json takes, with room for the object around it
constexpr std::string_view kSpace = " \t\r\n\f";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?, JSON's; 0 when there is none at text[at].
size_t number_end(std::string_view text, size_t at) {
  const auto digits = [&] {
    const size_t begin = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at - begin;
  };
  const size_t first = at;
  const size_t n = digits();
  if (n == 0 || (n > 1 && text[first] == '0')) return 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return 0;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return 0;
  }
  return at;
}

// Every function takes what stands at at_ and appends it to out_; false for what is no literal.
class Literal {
 public:
  explicit Literal(std::string_view text) : text_(text) {}

  std::optional<std::string> read() {
    skip();
    if (!value(0)) return std::nullopt;
    skip();
    return at_ == text_.size() ? std::optional(std::move(out_)) : std::nullopt;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip() { at_ = std::min(text_.find_first_not_of(kSpace, at_), text_.size()); }
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    skip();
    return true;
  }

  bool value(int depth) {
    if (depth > kMaxDepth) return false;
    const char c = peek();
    if (c == '\'' || c == '"') return string();
    if (c == '[') return sequence(depth, ']');
    if (c == '(') return sequence(depth, ')');
    if (c == '{') return dict(depth);
    if (c == '-' || is_digit(c)) return number();
    return word();
  }

  bool word() {
    for (const auto& [python, json] :
         {std::pair{"None", "null"}, {"True", "true"}, {"False", "false"}}) {
      if (!text_.substr(at_).starts_with(python)) continue;
      at_ += std::string_view(python).size();
      out_ += json;
      return at_ == text_.size() || kAfter.find(text_[at_]) != kAfter.npos;
    }
    return false;
  }

  bool number() {
    if (peek() == '-') {
      out_ += '-';
      ++at_;
      skip();
    }
    const size_t end = number_end(text_, at_);
    if (end == 0) return false;
    out_ += text_.substr(at_, end - at_);
    at_ = end;
    return at_ == text_.size() || kAfter.find(text_[at_]) != kAfter.npos;
  }

  // A list or a tuple; one value in parentheses without a comma is that value.
  bool sequence(int depth, char close) {
    take(text_[at_]);
    const size_t begin = out_.size();
    out_ += '[';
    int n = 0;
    bool comma = true;
    for (; !take(close); ++n) {
      if (!comma) return false;
      if (n > 0) out_ += ", ";
      if (!value(depth + 1)) return false;
      skip();
      comma = take(',');
    }
    if (close == ')' && n == 1 && !comma) {
      out_.erase(begin, 1);
    } else {
      out_ += ']';
    }
    return true;
  }

  bool dict(int depth) {
    take('{');
    out_ += '{';
    std::set<std::string> keys;
    bool comma = true;
    for (; !take('}');) {
      if (!comma || (peek() != '\'' && peek() != '"')) return false;
      if (!keys.empty()) out_ += ", ";
      const size_t begin = out_.size();
      if (!string() || !keys.insert(out_.substr(begin)).second) return false;
      skip();
      if (!take(':')) return false;
      out_ += ": ";
      if (!value(depth + 1)) return false;
      skip();
      comma = take(',');
    }
    out_ += '}';
    return true;
  }

  bool string() {
    const char quote = text_[at_++];
    std::string bytes;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\n') return false;
      if (text_[at_] != '\\') {
        bytes += text_[at_++];
      } else if (!escape(bytes)) {
        return false;
      }
    }
    if (at_ == text_.size() || !utf8_valid(bytes)) return false;
    ++at_;
    out_ += python_json(Json(std::move(bytes)));
    return true;
  }

  bool escape(std::string& bytes) {
    constexpr std::string_view kNames = "\\'\"abfnrtv\n";
    constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
    if (++at_ == text_.size()) return false;
    const char c = text_[at_++];
    if (const size_t i = kNames.find(c); i != kNames.npos) {
      bytes += kValues.substr(std::min(i, kValues.size()), 1);  // nothing for a joined line
      return true;
    }
    if (c >= '0' && c <= '7') {
      --at_;
      size_t n = 1;
      while (n < 3 && at_ + n < text_.size() && text_[at_ + n] >= '0' && text_[at_ + n] <= '7') ++n;
      return code_point(bytes, n, 8);
    }
    if (c == 'x' || c == 'u' || c == 'U')
      return code_point(bytes, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16);
    if (c == 'N') return false;
    bytes += '\\';  // no escape: the backslash stays
    bytes += c;
    return true;
  }

  bool code_point(std::string& bytes, size_t n_digits, int base) {
    if (text_.size() - at_ < n_digits) return false;
    uint32_t code = 0;
    const char* end = text_.data() + at_ + n_digits;
    const auto read = std::from_chars(text_.data() + at_, end, code, base);
    if (read.ec != std::errc() || read.ptr != end) return false;
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    at_ += n_digits;
    utf8_append(bytes, code);
    return true;
  }

  static constexpr std::string_view kAfter = " \t\r\n\f,:)]}";

  std::string_view text_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::optional<std::string> python_literal(std::string_view text) { return Literal(text).read(); }

}  // namespace qwen3
