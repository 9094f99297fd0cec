#include "tokenizer/pretokenizer.h"

#include <cstdint>

#include "base/utf8.h"
#include "tokenizer/unicode_classes.h"

namespace qwen3 {
namespace {

constexpr std::string_view kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// The class bits that split text; 0 means "other": neither space, letter nor number.
constexpr uint8_t kSplitClasses = kLetter | kNumber | kSpace;

// Reads classes along the text; one scanner per piece.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text), classes_(unicode_classes()) {}

  bool at_end(size_t pos) const { return pos >= text_.size(); }
  char byte(size_t pos) const { return at_end(pos) ? '\0' : text_[pos]; }
  bool is_newline(size_t pos) const { return byte(pos) == '\r' || byte(pos) == '\n'; }

  // Class of the code point at pos, whose end goes to *next. REQUIRES: !at_end(pos).
  uint8_t classify(size_t pos, size_t* next) const {
    const char32_t c = utf8_decode(text_, pos);
    *next = pos;
    return classes_[c] & kSplitClasses;
  }

  // End of the run of code points of class `wanted` that begins at pos.
  size_t run_end(size_t pos, uint8_t wanted) const {
    for (size_t next = pos; !at_end(pos); pos = next) {
      if (classify(pos, &next) != wanted) break;
    }
    return pos;
  }

 private:
  std::string_view text_;
  const UnicodeClassTable& classes_;
};

enum class Case { sensitive, folded };

// Length of 's 't 're 've 'm 'll 'd at pos, or 0. Folded also takes capitals and U+017F, the one
// code point outside ASCII whose case folding is one of these letters.
size_t contraction_length(const Scanner& s, size_t pos, Case letter_case) {
  if (s.byte(pos) != '\'') return 0;
  const auto letter = [&](size_t i) {
    const char c = s.byte(pos + i);
    const bool capital = c >= 'A' && c <= 'Z';
    return capital && letter_case == Case::folded ? static_cast<char>(c - 'A' + 'a') : c;
  };
  switch (letter(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return letter(2) == 'e' ? 3 : 0;
    case 'l':
      return letter(2) == 'l' ? 3 : 0;
    case '\xC5':
      return letter_case == Case::folded && s.byte(pos + 2) == '\xBF' ? 3 : 0;
    default:
      return 0;
  }
}

// \s+(?!\S)|\s+ : a run of white space leaves its last code point to what follows it.
// REQUIRES: a white-space code point at pos, run end at `end`.
size_t space_end(const Scanner& s, size_t pos, size_t end) {
  if (s.at_end(end)) return end;
  size_t last = pos, next = pos;
  while (next < end) {
    last = next;
    s.classify(last, &next);
  }
  return last > pos ? last : end;
}

size_t qwen2_end(const Scanner& s, size_t pos) {
  if (const size_t length = contraction_length(s, pos, Case::folded)) return pos + length;
  size_t next = 0;
  const uint8_t first = s.classify(pos, &next);
  if (first == kLetter) return s.run_end(next, kLetter);
  if (first == kNumber) return next;
  // [^\r\n\p{L}\p{N}]?\p{L}+ : one leading mark or space joins the word.
  if (!s.is_newline(pos)) {
    if (const size_t end = s.run_end(next, kLetter); end > next) return end;
  }
  // ' ?[^\s\p{L}\p{N}]+[\r\n]*'
  const size_t symbols = s.byte(pos) == ' ' ? next : pos;
  if (size_t end = s.run_end(symbols, 0); end > symbols) {
    while (s.is_newline(end)) ++end;
    return end;
  }
  // \s*[\r\n]+ : up to the last newline of the white space here.
  const size_t end = s.run_end(pos, kSpace);
  for (size_t i = end; i > pos; --i) {
    if (s.is_newline(i - 1)) return i;
  }
  return space_end(s, pos, end);
}

size_t gpt2_end(const Scanner& s, size_t pos) {
  if (const size_t length = contraction_length(s, pos, Case::sensitive)) return pos + length;
  const size_t begin = s.byte(pos) == ' ' ? pos + 1 : pos;
  for (const uint8_t wanted : {uint8_t{kLetter}, uint8_t{kNumber}, uint8_t{0}}) {
    if (const size_t end = s.run_end(begin, wanted); end > begin) return end;
  }
  return space_end(s, pos, s.run_end(pos, kSpace));
}

}  // namespace

std::optional<SplitPattern> find_split_pattern(std::string_view regex) {
  if (regex == kQwen2Regex) return SplitPattern::qwen2;
  if (regex == kGpt2Regex) return SplitPattern::gpt2;
  return std::nullopt;
}

size_t piece_end(SplitPattern pattern, std::string_view text, size_t pos) {
  const Scanner scanner(text);
  return pattern == SplitPattern::qwen2 ? qwen2_end(scanner, pos) : gpt2_end(scanner, pos);
}

}  // namespace qwen3
