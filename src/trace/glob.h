// Glob patterns over tap names.
#pragma once

#include <string_view>

namespace qwen3 {

// Whether all of `text` matches: * stands for any characters (dots too), ? for one. Linear memory,
// O(pattern · text) time.
bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace qwen3
