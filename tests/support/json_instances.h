// Instances of JSON Schema as a grammar spells them.
#pragma once

#include <algorithm>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/schema_number.h"

namespace qwen3 {

inline Json read_json(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return parse_json(text.str(), path, {.max_depth = 200, .max_values = 10'000'000});
}

// No blanks; numbers by their shortest decimal spelling (1.0 is 1).
inline std::string canonical_json(const Json& value) {
  std::string out;
  if (value.is_object()) {
    for (const auto& item : value.items()) {
      out += (out.empty() ? "" : ",") + dump_json(Json(item.key())) + ":" +
             canonical_json(item.value());
    }
    return "{" + out + "}";
  }
  if (value.is_array()) {
    for (const Json& item : value) out += (out.empty() ? "" : ",") + canonical_json(item);
    return "[" + out + "]";
  }
  if (value.is_number()) return to_decimal(value, {}, "").text();
  return dump_json(value);
}

inline bool accepts(const Grammar& grammar, const std::string& text) {
  return match_bytes(grammar, text) == Membership::whole;
}

// A grammar has its order of keys, an instance of a test suite does not: the keys of the outermost object are tried in
// every order, if they are at most five.
inline bool accepts_in_some_order(const Grammar& grammar, const Json& instance) {
  if (!instance.is_object() || instance.size() > 5)
    return accepts(grammar, canonical_json(instance));
  std::vector<std::string> names;
  for (const auto& item : instance.items()) names.push_back(item.key());
  std::vector<size_t> order(names.size());
  std::iota(order.begin(), order.end(), 0);
  do {
    Json permuted = Json::object();
    for (const size_t i : order) permuted[names[i]] = instance.at(names[i]);
    if (accepts(grammar, canonical_json(permuted))) return true;
  } while (std::next_permutation(order.begin(), order.end()));
  return false;
}

}  // namespace qwen3
