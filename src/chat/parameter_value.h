// The value of a parameter that a model wrote as text (Qwen3-Coder), by the JSON Schema of its
// function. A schema gives types in many ways, and all of them count: "type" as a text or a list,
// anyOf, oneOf, allOf, $ref, enum, const, nullable, one inside of another.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace qwen3 {

// The schema of one parameter; null when it is not declared. `parameters`: of the function.
const Json* parameter_schema(const Json& parameters, const std::string& name);

// The JSON text of the value. What the schema allows wins, text only when nothing else fits:
//
//   5          integer or null          5
//   5          string or null           "5"
//   5          string or integer        5
//   null       string                   "null"
//   ['a', 1]   array                    ["a", 1]      a Python literal
//   12345678901234567890123             the same digits
//
// Where the schema says nothing of a type, the value is text, as in vLLM. What does not fit at all
// is JSON if it is that, else text: it is for the function to refuse.
std::string parameter_json(std::string_view text, const Json* schema, const Json& parameters);

}  // namespace qwen3
