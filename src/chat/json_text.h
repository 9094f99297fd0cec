// JSON text as Python's json.dumps(ensure_ascii=False) writes it, and Python literals as JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace qwen3 {

// Separators ", " and ": "; floats by repr (1.0, 1e-07).
std::string python_json(const Json& value);

// ast.literal_eval for what has a JSON form: numbers, strings, None, True, False, lists, tuples
// (as lists) and dicts with string keys. Nothing for any other text.
std::optional<Json> parse_python_literal(std::string_view text);

}  // namespace qwen3
