// Tags that may be cut by the end of a piece of text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace qwen3 {

// The length of the longest end of `text` that is a beginning of `tag`, but not all of it.
inline size_t partial_suffix(std::string_view text, std::string_view tag) {
  for (size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n) {
    if (text.ends_with(tag.substr(0, n))) return n;
  }
  return 0;
}

// Whether output that was cut with the first `n` bytes of an opening tag at its end was about to
// open it: a lone "<" of prose is not a tag yet.
inline bool opens_tag(size_t n, bool first_text) { return n >= 6 || (n > 0 && first_text); }

}  // namespace qwen3
