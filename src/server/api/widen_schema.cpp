// A schema that is not enforced, made weaker until it is. What is dropped must not make the rest stronger: inside
// of "not" and its like more becomes less, so there the whole keyword goes.
#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string>
#include <vector>

#include "server/api/tool_grammar.h"

namespace qwen3::server {
namespace {

constexpr std::array<std::string_view, 4> kReversing = {"not", "if", "oneOf", "contains"};
// Their members are schemas by name: one that goes becomes any value.
constexpr std::array<std::string_view, 5> kNamed = {
    "properties", "patternProperties", "$defs", "definitions", "dependentSchemas"};
// Without these an object would be closed.
constexpr std::array<std::string_view, 3> kOpening = {
    "additionalProperties", "patternProperties", "unevaluatedProperties"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

std::vector<std::string> parts_of(std::string_view pointer) {
  std::vector<std::string> parts;
  while (pointer.starts_with('/')) {
    pointer.remove_prefix(1);
    std::string part(pointer.substr(0, pointer.find('/')));
    pointer.remove_prefix(part.size());
    for (const auto& [escaped, plain] : {std::pair{"~1", "/"}, {"~0", "~"}}) {
      for (size_t i = part.find(escaped); i != part.npos; i = part.find(escaped, i + 1)) {
        part.replace(i, 2, plain);
      }
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

Json* child(Json& parent, const std::string& part) {
  if (parent.is_object()) {
    const auto at = parent.find(part);
    return at == parent.end() ? nullptr : &*at;
  }
  size_t index = 0;
  const char* end = part.data() + part.size();
  const auto read = std::from_chars(part.data(), end, index);
  if (!parent.is_array() || read.ec != std::errc() || read.ptr != end) return nullptr;
  return index < parent.size() ? &parent[index] : nullptr;
}

void drop_keyword(Json& schema, const std::string& keyword) {
  schema.erase(keyword);
  if (is_one_of(keyword, kOpening)) schema["additionalProperties"] = true;
}

}  // namespace

bool widen_schema(Json& schema, std::string_view place) {
  const std::vector<std::string> parts = parts_of(place);
  Json* at = &schema;
  bool named = false;  // `at` holds schemas by name
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool is_keyword = at->is_object() && !named;
    Json* next = child(*at, parts[i]);
    if (next == nullptr) return false;
    if (is_keyword && (i + 1 == parts.size() || is_one_of(parts[i], kReversing))) {
      drop_keyword(*at, parts[i]);
      return true;
    }
    if (i + 1 == parts.size()) {
      if (*next == true) return false;
      *next = true;
      return true;
    }
    named = is_keyword && is_one_of(parts[i], kNamed);
    at = next;
  }
  return false;
}

}  // namespace qwen3::server
