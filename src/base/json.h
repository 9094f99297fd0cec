// JSON for untrusted text: bounded depth and size, duplicate keys refused, key order kept.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace qwen3 {

// Keeps the order of keys (tool schemas are rendered in the order they were given). Looking up a
// key is linear: iterate over large objects instead.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  int max_depth = 64;
  int64_t max_values = 2'000'000;  // objects, arrays and scalars together
};

// Parses one JSON text. `where` begins every error message (a file name, "request body").
// Throws Error{corrupt_file} on syntax errors, ill-formed UTF-8, duplicate keys, numbers that do
// not fit a double, or a breach of `limits`.
Json parse_json(std::string_view text, std::string_view where, JsonLimits limits = {});

// Compact JSON on one line; ill-formed UTF-8 inside strings is replaced, never thrown.
std::string dump_json(const Json& value);

}  // namespace qwen3
