// "Did you mean …": the known word that is closest to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace qwen3 {

// The known word with the fewest edits (insert, delete, replace, swap of neighbours) to `word`;
// empty when none is near: more than 3 edits, or more than half of the word's length.
std::string nearest(std::string_view word, std::span<const std::string> known);

// `; did you mean "X"?` or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string> known);

}  // namespace qwen3
