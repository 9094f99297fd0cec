// The parts of Python's str that need Unicode: code points, case, printability.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace qwen3::jinja {

// Bytes of the code point at view[at]. REQUIRES: well-formed UTF-8, at < view.size().
inline size_t code_point_bytes(std::string_view view, size_t at) {
  const auto lead = static_cast<unsigned char>(view[at]);
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}
size_t count_code_points(std::string_view view);
// Byte offset of code point number `index`; view.size() when there are not that many.
size_t code_point_offset(std::string_view view, size_t index);

// string_view::find that stays linear on repetitive text (memmem's two-way search).
size_t find_text(std::string_view text, std::string_view what, size_t from = 0);

bool is_line_break(char32_t c);
bool is_printable(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);

enum class Case { upper, lower, title };
// Appends the mapped code point. Full mappings are known for the sharp s and the Latin ligatures;
// other characters use Unicode's simple mapping, and the final sigma rule is not applied.
void append_case(std::string& out, char32_t c, Case to);

}  // namespace qwen3::jinja
