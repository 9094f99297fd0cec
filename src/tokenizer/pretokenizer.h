// Cuts normalised text into pieces; BPE never merges across a cut.
//
// Hugging Face files name the cuts by a regular expression. We accept only the expressions below,
// by exact text, and scan them by hand: no backtracking engine sees untrusted input, the cost is
// linear, and no stack is used (a piece of 8 MiB is fine).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace qwen3 {

enum class SplitPattern {
  qwen2,  // Qwen2, Qwen2.5, Qwen3
  gpt2,   // the built-in expression of ByteLevel{use_regex: true}
};

// The pattern whose expression is exactly `regex`.
std::optional<SplitPattern> find_split_pattern(std::string_view regex);

// End of the piece that begins at text[pos]. A piece has at least one code point, and the pieces
// cover the text without gaps.
// REQUIRES: text is well-formed UTF-8; pos < text.size() is 0 or the end of the piece before.
size_t piece_end(SplitPattern pattern, std::string_view text, size_t pos);

}  // namespace qwen3
