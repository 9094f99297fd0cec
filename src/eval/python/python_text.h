// The parts of Python's text handling that the official scoring rules lean on: which lines a file
// has, what \s and \d match in a str pattern, and the two searches written with them. Each search
// runs in linear time; a backtracking engine would not.
//
// Text is UTF-8 in which surrogates may stand as three bytes each (see python_json.h).
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace qwen3::eval {

bool py_is_decimal(char32_t c);  // \d: category Nd (Unicode 14, as in CPython 3.11)

// Without white space (python_is_space) at both ends.
std::string_view py_strip(std::string_view text);
// What stands before the first white space.
std::string_view py_first_word(std::string_view text);

// What follows the first "\n</think>\n\n"; everything when there is none.
std::string_view after_official_thinking(std::string_view text);

// re.findall(r"```(?:json|python)\s*(.*?)\s*```", text, re.DOTALL)
std::vector<std::string_view> find_fenced_blocks(std::string_view text);

// re.findall(r"(\[\[(?:[\d,\[\]\s\n]*)\]\])", text, re.DOTALL)
std::vector<std::string_view> find_bracketed_arrays(std::string_view text);

}  // namespace qwen3::eval
