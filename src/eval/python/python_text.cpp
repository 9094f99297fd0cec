#include "eval/python/python_text.h"

#include <algorithm>
#include <iterator>

#include "base/text.h"

namespace qwen3::eval {
namespace {

struct Range {
  char32_t first, last;
};

// Category Nd of Unicode 14: unicodedata of CPython 3.11.
constexpr Range kDecimals[] = {
    {0x30, 0x39},       {0x660, 0x669},     {0x6F0, 0x6F9},     {0x7C0, 0x7C9},
    {0x966, 0x96F},     {0x9E6, 0x9EF},     {0xA66, 0xA6F},     {0xAE6, 0xAEF},
    {0xB66, 0xB6F},     {0xBE6, 0xBEF},     {0xC66, 0xC6F},     {0xCE6, 0xCEF},
    {0xD66, 0xD6F},     {0xDE6, 0xDEF},     {0xE50, 0xE59},     {0xED0, 0xED9},
    {0xF20, 0xF29},     {0x1040, 0x1049},   {0x1090, 0x1099},   {0x17E0, 0x17E9},
    {0x1810, 0x1819},   {0x1946, 0x194F},   {0x19D0, 0x19D9},   {0x1A80, 0x1A89},
    {0x1A90, 0x1A99},   {0x1B50, 0x1B59},   {0x1BB0, 0x1BB9},   {0x1C40, 0x1C49},
    {0x1C50, 0x1C59},   {0xA620, 0xA629},   {0xA8D0, 0xA8D9},   {0xA900, 0xA909},
    {0xA9D0, 0xA9D9},   {0xA9F0, 0xA9F9},   {0xAA50, 0xAA59},   {0xABF0, 0xABF9},
    {0xFF10, 0xFF19},   {0x104A0, 0x104A9}, {0x10D30, 0x10D39}, {0x11066, 0x1106F},
    {0x110F0, 0x110F9}, {0x11136, 0x1113F}, {0x111D0, 0x111D9}, {0x112F0, 0x112F9},
    {0x11450, 0x11459}, {0x114D0, 0x114D9}, {0x11650, 0x11659}, {0x116C0, 0x116C9},
    {0x11730, 0x11739}, {0x118E0, 0x118E9}, {0x11950, 0x11959}, {0x11C50, 0x11C59},
    {0x11D50, 0x11D59}, {0x11DA0, 0x11DA9}, {0x16A60, 0x16A69}, {0x16AC0, 0x16AC9},
    {0x16B50, 0x16B59}, {0x1D7CE, 0x1D7FF}, {0x1E140, 0x1E149}, {0x1E2F0, 0x1E2F9},
    {0x1E950, 0x1E959}, {0x1FBF0, 0x1FBF9}};

constexpr std::string_view kFence = "```";

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// The code point at text[pos], which moves past it. Unlike utf8_decode() it takes any bytes: answers
// may hold surrogates and be cut anywhere. A byte that begins nothing counts as itself, so that no
// input leads out of bounds.
char32_t decode(std::string_view text, size_t& pos) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(pos);
  const size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
  char32_t c = more == 0 ? lead : lead & (0x3FU >> more);
  ++pos;
  for (size_t i = 0; i < more && pos < text.size() && is_continuation(text[pos]); ++i, ++pos) {
    c = c << 6 | (byte(pos) & 0x3F);
  }
  return c;
}

size_t skip_space(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    size_t next = pos;
    if (!python_is_space(decode(text, next))) break;
    pos = next;
  }
  return pos;
}

// The start of the white space that ends at `end`, but not before `from`.
size_t space_before(std::string_view text, size_t from, size_t end) {
  while (end > from) {
    size_t start = end - 1;
    while (start > from && is_continuation(text[start])) --start;
    size_t next = start;
    if (!python_is_space(decode(text, next)) || next != end) break;
    end = start;
  }
  return end;
}

}  // namespace

bool py_is_decimal(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const auto range = std::lower_bound(
      std::begin(kDecimals), std::end(kDecimals), c, [](const Range& r, char32_t code) {
        return r.last < code;
      });
  return range != std::end(kDecimals) && range->first <= c;
}

std::string_view py_strip(std::string_view text) {
  const size_t start = skip_space(text, 0);
  return text.substr(start, space_before(text, start, text.size()) - start);
}

std::string_view py_first_word(std::string_view text) {
  size_t pos = 0;
  while (pos < text.size()) {
    size_t next = pos;
    if (python_is_space(decode(text, next))) break;
    pos = next;
  }
  return text.substr(0, pos);
}

std::string_view after_official_thinking(std::string_view text) {
  constexpr std::string_view kEnd = "\n</think>\n\n";
  const size_t end = text.find(kEnd);
  return end == std::string_view::npos ? text : text.substr(end + kEnd.size());
}

// The opening \s* takes all the white space there is. The lazy group then ends before the first
// fence after it, less the white space in front of that fence; when there is no such fence, fewer
// spaces would not help, and neither would a later opening.
std::vector<std::string_view> find_fenced_blocks(std::string_view text) {
  std::vector<std::string_view> blocks;
  size_t pos = 0;
  while ((pos = text.find(kFence, pos)) != std::string_view::npos) {
    const std::string_view rest = text.substr(pos + kFence.size());
    const size_t language = rest.starts_with("json") ? 4 : rest.starts_with("python") ? 6 : 0;
    if (language == 0) {
      ++pos;
      continue;
    }
    const size_t start = skip_space(text, pos + kFence.size() + language);
    const size_t fence = text.find(kFence, start);
    if (fence == std::string_view::npos) break;
    blocks.push_back(text.substr(start, space_before(text, start, fence) - start));
    pos = fence + kFence.size();
  }
  return blocks;
}

// The class takes the brackets too, so a match runs from "[[" to the last "]]" of the run of
// allowed characters. Where that run holds no such end, no later start inside it does either.
std::vector<std::string_view> find_bracketed_arrays(std::string_view text) {
  std::vector<std::string_view> arrays;
  size_t pos = 0;
  while ((pos = text.find("[[", pos)) != std::string_view::npos) {
    size_t run = pos + 2;
    while (run < text.size()) {
      size_t next = run;
      const char32_t c = decode(text, next);
      if (c != '[' && c != ']' && c != ',' && !py_is_decimal(c) && !python_is_space(c)) break;
      run = next;
    }
    const size_t end = text.substr(pos + 2, run - pos - 2).rfind("]]");
    if (end != std::string_view::npos) arrays.push_back(text.substr(pos, end + 4));
    pos = run;
  }
  return arrays;
}

}  // namespace qwen3::eval
