// One character for the many that say the same: full-width digits and letters, the minus sign and
// the hyphen, × and \times. First of all rules that compare what people and models wrote.
#pragma once

#include <string>
#include <string_view>

namespace qwen3::eval {

// In this order, each character once:
//   1. full-width forms (U+FF01 to U+FF5E), bold digits (U+1D7CE on) and circled capitals become ASCII;
//   2. the ideographic full stop becomes ".", spaces of other widths " ", invisible ones nothing;
//   3. runs of raised and lowered digits become ^{…} and _{…}, vulgar fractions \frac{1}{2};
//   4. signs and Greek letters of mathematics become the LaTeX command ("≤" is "\le ").
// Everything else stays, ill-formed UTF-8 too.
std::string plain_characters(std::string_view text);

inline bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Whether a Chinese character, or Japanese or Korean script, stands at text[pos].
bool is_cjk_at(std::string_view text, size_t pos);

}  // namespace qwen3::eval
