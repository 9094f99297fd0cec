#include "eval/tasks/plain_characters.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/utf8.h"

namespace qwen3::eval {
namespace {

struct Spelling {
  char32_t code;
  std::string_view plain;
};

constexpr Spelling kSpellings[] = {
    {0x00A0, " "},
    {0x00A5, "¥"},
    {0x00B0, "^{\\circ}"},
    {0x00B1, "\\pm "},
    {0x00B7, "\\cdot "},
    {0x00BC, "\\frac{1}{4}"},
    {0x00BD, "\\frac{1}{2}"},
    {0x00BE, "\\frac{3}{4}"},
    {0x00D7, "\\times "},
    {0x00F7, "\\div "},
    {0x0394, "\\Delta "},
    {0x03A9, "\\Omega "},
    {0x03B1, "\\alpha "},
    {0x03B2, "\\beta "},
    {0x03B3, "\\gamma "},
    {0x03B4, "\\delta "},
    {0x03B8, "\\theta "},
    {0x03BB, "\\lambda "},
    {0x03BC, "\\mu "},
    {0x03C0, "\\pi "},
    {0x03C3, "\\sigma "},
    {0x03C6, "\\varphi "},
    {0x03C9, "\\omega "},
    {0x2002, " "},
    {0x2003, " "},
    {0x2009, " "},
    {0x200A, " "},
    {0x200B, ""},
    {0x200C, ""},
    {0x200D, ""},
    {0x2013, "-"},
    {0x2018, "'"},
    {0x2019, "'"},
    {0x202F, " "},
    {0x2032, "'"},
    {0x2044, "/"},
    {0x2060, ""},
    {0x2102, "\\mathbb{C}"},
    {0x2115, "\\mathbb{N}"},
    {0x211A, "\\mathbb{Q}"},
    {0x211D, "\\mathbb{R}"},
    {0x2124, "\\mathbb{Z}"},
    {0x2153, "\\frac{1}{3}"},
    {0x2154, "\\frac{2}{3}"},
    {0x2155, "\\frac{1}{5}"},
    {0x2156, "\\frac{2}{5}"},
    {0x2157, "\\frac{3}{5}"},
    {0x2158, "\\frac{4}{5}"},
    {0x2159, "\\frac{1}{6}"},
    {0x215A, "\\frac{5}{6}"},
    {0x215B, "\\frac{1}{8}"},
    {0x215C, "\\frac{3}{8}"},
    {0x215D, "\\frac{5}{8}"},
    {0x215E, "\\frac{7}{8}"},
    {0x2192, "\\to "},
    {0x2205, "\\emptyset "},
    {0x2208, "\\in "},
    {0x2209, "\\notin "},
    {0x2212, "-"},
    {0x2213, "\\mp "},
    {0x2215, "/"},
    {0x2217, "\\cdot "},
    {0x221A, "\\surd "},
    {0x221E, "\\infty "},
    {0x2220, "\\angle "},
    {0x2229, "\\cap "},
    {0x222A, "\\cup "},
    {0x2236, ":"},
    {0x2248, "\\approx "},
    {0x2260, "\\ne "},
    {0x2264, "\\le "},
    {0x2265, "\\ge "},
    {0x22C5, "\\cdot "},
    {0x3000, " "},
    {0x3002, "."},
    {0xFEFF, ""},
    {0xFF61, "."},
    {0xFFE1, "£"},
    {0xFFE5, "¥"},
};
static_assert(std::is_sorted(std::begin(kSpellings), std::end(kSpellings), [](auto a, auto b) {
  return a.code < b.code;
}));

std::optional<char> raised(char32_t c) {
  switch (c) {
    case 0x00B9:
      return '1';
    case 0x00B2:
      return '2';
    case 0x00B3:
      return '3';
    case 0x207A:
      return '+';
    case 0x207B:
      return '-';
    case 0x207F:
      return 'n';
    default:
      return c == 0x2070 || (c >= 0x2074 && c <= 0x2079)
                 ? std::optional<char>(static_cast<char>('0' + (c - 0x2070)))
                 : std::nullopt;
  }
}

std::optional<char> lowered(char32_t c) {
  if (c >= 0x2080 && c <= 0x2089) return static_cast<char>('0' + (c - 0x2080));
  if (c == 0x2099) return 'n';
  return std::nullopt;
}

std::optional<char> as_ascii(char32_t c) {
  if (c >= 0xFF01 && c <= 0xFF5E) return static_cast<char>(c - 0xFF01 + '!');
  if (c >= 0x1D7CE && c <= 0x1D7FF) return static_cast<char>('0' + (c - 0x1D7CE) % 10);
  if (c >= 0x24B6 && c <= 0x24CF) return static_cast<char>('A' + (c - 0x24B6));
  return std::nullopt;
}

}  // namespace

std::string plain_characters(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  enum class Level { line, above, below } level = Level::line;
  const auto move_to = [&](Level next) {
    if (next == level) return;
    if (level != Level::line) plain += '}';
    if (next != Level::line) plain += next == Level::above ? "^{" : "_{";
    level = next;
  };
  for (size_t pos = 0; pos < text.size();) {
    const size_t length = utf8_sequence_length(text, pos);
    if (length <= 1) {  // ASCII, or a byte that is no UTF-8
      move_to(Level::line);
      plain += text[pos++];
      continue;
    }
    const size_t start = pos;
    const char32_t c = utf8_decode(text, pos);
    const auto up = raised(c), down = lowered(c), ascii = as_ascii(c);
    move_to(up ? Level::above : down ? Level::below : Level::line);
    const auto* found = std::lower_bound(
        std::begin(kSpellings), std::end(kSpellings), c, [](const Spelling& s, char32_t code) {
          return s.code < code;
        });
    if (up || down || ascii) {
      plain += up ? *up : down ? *down : *ascii;
    } else if (found != std::end(kSpellings) && found->code == c) {
      plain += found->plain;
    } else {
      plain += text.substr(start, length);
    }
  }
  move_to(Level::line);
  return plain;
}

bool is_cjk_at(std::string_view text, size_t pos) {
  if (pos >= text.size() || utf8_sequence_length(text, pos) < 3) return false;
  const char32_t c = utf8_decode(text, pos);
  return (c >= 0x3040 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7A3) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

}  // namespace qwen3::eval
