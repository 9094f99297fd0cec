// JSON text as Python's json.dumps(ensure_ascii=False) writes it, with the digits of numbers as they
// were given, and Python literals as JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace qwen3 {

// Separators ", " and ": "; floats by repr (1.0, 1e-07).
std::string python_json(const Json& value);

// The value of a JSON text; nothing for any other. Numbers beyond a double are those of the same
// kind that a double can hold: the text has the digits.
std::optional<Json> read_json(std::string_view text);

// The same text as python_json() would write it, but every number with the digits it has.
// REQUIRES: read_json(json).
std::string python_spelling(std::string_view json);

// The text of a member of an object; "" when it has none of that name. REQUIRES: read_json(object).
std::string_view member_text(std::string_view object, std::string_view name);

// What ast.literal_eval reads and JSON can say, as JSON text: numbers with JSON's digits, strings,
// None, True, False, lists, tuples (as lists) and dicts with string keys. Nothing for other text.
std::optional<std::string> python_literal(std::string_view text);

}  // namespace qwen3
