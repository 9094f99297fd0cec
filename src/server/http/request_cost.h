// What the work on a request's body will take in memory, known before any of it is done.
#pragma once

#include <cstdint>
#include <string_view>

namespace qwen3::server {

// How many values and keys a JSON text has at most: exact for well-formed ones but for the keys,
// which count as values. One pass, nothing is allocated.
int64_t count_json_values(std::string_view text);

// Upper bound of what a handler takes at its peak for a body: the tree of its values, the messages
// made of it, the rendered prompt, its normalised text and its tokens.
int64_t work_bytes(std::string_view body);

}  // namespace qwen3::server
