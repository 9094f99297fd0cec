// One spelling for a formula, however LaTeX or a keyboard wrote it. No algebra: what is turned
// round, multiplied out or cancelled is another spelling still.
#pragma once

#include <string>
#include <string_view>

namespace qwen3::eval {

// Two formulas of one spelling are the same mathematics. In this order:
//   1. the text is cut into commands, "\\" (a row of a matrix ends) before "\ " (a space), digits,
//      letters; <=, >=, != and ** are signs; sqrt, pi, sin and the like are commands without "\" too;
//   2. white space, \left, \big, \displaystyle, $ and \( go, and so do the fonts \text, \mathrm,
//      \textbf…, \boxed and ^\circ; \dfrac is \frac, \leq \le, \neq \ne, \lbrace \{, \mid |;
//   3. arguments get braces (\sqrt2, \frac12, x^2, x^{10}), other braces go; x_1^2 is x^2_1;
//   4. a/b is \frac{a}{b} where no factor follows b; \frac{-a}{b} is -\frac{a}{b}; a product sign
//      between a number and what is no number goes; a "+" at the beginning goes;
//   5. matrices in round and square brackets are one, made by pmatrix, bmatrix or array;
//   6. full stops and commas at the end go.
// `text` is one of plain_characters(). Longer than kLongestFormula, or nested too deeply: only
// white space is taken out. Linear time.
inline constexpr size_t kLongestFormula = 4'000;
std::string plain_latex(std::string_view text);

}  // namespace qwen3::eval
