#include "chat/parameter_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/text.h"
#include "chat/json_text.h"

namespace qwen3 {
namespace {

constexpr int kMaxDepth = 32;
constexpr int kMaxVisits = 4096;

const Json* member(const Json& json, const char* key) {
  if (!json.is_object()) return nullptr;
  const auto at = json.find(key);
  return at == json.end() ? nullptr : &*at;
}

// What "#/$defs/K" points at in `root`; null for what is not there or elsewhere.
const Json* resolve(const Json& root, const Json& ref) {
  if (!ref.is_string()) return nullptr;
  std::string_view rest = ref.get_ref<const std::string&>();
  if (!rest.starts_with('#')) return nullptr;
  rest.remove_prefix(1);
  const Json* at = &root;
  while (!rest.empty()) {
    if (rest.front() != '/') return nullptr;
    const size_t end = std::min(rest.find('/', 1), rest.size());
    std::string key(rest.substr(1, end - 1));
    rest.remove_prefix(end);
    for (const auto& [escaped, plain] : {std::pair{"~1", '/'}, {"~0", '~'}}) {
      for (size_t i = key.find(escaped); i != key.npos; i = key.find(escaped, i + 1)) {
        key.replace(i, 2, 1, plain);
      }
    }
    if (at->is_array()) {
      size_t index = 0;
      const auto read = std::from_chars(key.data(), key.data() + key.size(), index);
      if (read.ec != std::errc() || read.ptr != key.data() + key.size()) return nullptr;
      if (index >= at->size()) return nullptr;
      at = &(*at)[index];
    } else {
      at = member(*at, key.c_str());
      if (at == nullptr) return nullptr;
    }
  }
  return at;
}

bool is_whole(const Json& value) {
  if (value.is_number_integer()) return true;
  return value.is_number_float() && std::floor(value.get<double>()) == value.get<double>();
}

// Also the names that are no JSON Schema, of languages that models' tools are written in.
bool has_type(const Json& value, std::string_view type) {
  const auto starts = [&](std::initializer_list<std::string_view> prefixes) {
    return std::ranges::any_of(prefixes, [&](auto p) { return type.starts_with(p); });
  };
  const auto is = [&](std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, type) != names.end();
  };
  if (is({"null", "none"})) return value.is_null();
  if (is({"string", "str", "text", "varchar", "char", "enum"})) return value.is_string();
  if (starts({"int", "uint", "long", "short", "unsigned"})) return is_whole(value);
  if (starts({"num", "float", "double", "decimal"})) return value.is_number();
  if (is({"boolean", "bool", "binary"})) return value.is_boolean();
  if (is({"array", "arr"}) || starts({"list", "tuple"})) return value.is_array();
  if (is({"object"}) || starts({"dict", "map"})) return value.is_object();
  return true;  // any
}

bool same_type(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return is_whole(a) || !is_whole(b);
  return a.type() == b.type();
}

// Whether a schema allows a value, as far as its types and enumerations say.
class Judge {
 public:
  enum class Verdict { no, unsaid, yes };
  // exact: of an enumeration only its members; else every value of a type that one of them has.
  enum class Members { exact, types };

  Judge(const Json& root, const Json& value, Members members)
      : root_(root), value_(value), members_(members) {}

  Verdict judge(const Json& schema, int depth = 0) {
    if (schema.is_boolean()) return schema.get<bool>() ? Verdict::unsaid : Verdict::no;
    if (!schema.is_object() || depth > kMaxDepth || ++n_visits_ > kMaxVisits) {
      return Verdict::unsaid;
    }
    const Json* nullable = member(schema, "nullable");
    if (value_.is_null() && nullable != nullptr && *nullable == true) return Verdict::yes;
    Verdict all = type(schema);
    if (const Json* list = member(schema, "enum")) all = both(all, one_of(*list));
    if (const Json* constant = member(schema, "const")) all = both(all, yes_if(equals(*constant)));
    for (const char* key : {"anyOf", "oneOf"}) {
      if (const Json* list = member(schema, key)) all = both(all, any(*list, depth));
    }
    if (const Json* list = member(schema, "allOf"); list != nullptr && list->is_array()) {
      for (const Json& part : *list) all = both(all, judge(part, depth + 1));
    }
    if (const Json* ref = member(schema, "$ref")) {
      if (const Json* target = resolve(root_, *ref)) all = both(all, referred(*target, depth));
    }
    if (const Json* none = member(schema, "not")) all = both(all, denied(*none, depth));
    if (const Json* condition = member(schema, "if")) {
      all = both(all, branch(schema, judge(*condition, depth + 1), depth));
    }
    return all;
  }

 private:
  static Verdict yes_if(bool yes) { return yes ? Verdict::yes : Verdict::no; }

  static Verdict both(Verdict a, Verdict b) {
    if (a == Verdict::no || b == Verdict::no) return Verdict::no;
    return std::max(a, b);
  }

  // What is referred to is judged once: a circle says nothing, and nothing doubles at every step.
  Verdict referred(const Json& target, int depth) {
    const auto [at, is_new] = referred_.try_emplace(&target, Verdict::unsaid);
    if (is_new) at->second = judge(target, depth + 1);
    return at->second;
  }

  // What "not" forbids; what it leaves is said by nobody. A part of a type forbids none of it.
  Verdict denied(const Json& none, int depth) {
    if (!none.is_object()) return none == true ? Verdict::no : Verdict::unsaid;
    for (const auto& [key, value] : none.items()) {
      const bool whole = key == "type" || key == "anyOf" || key == "oneOf" || key == "$ref";
      const bool single = key == "enum" || key == "const";
      if (!whole && !(single && members_ == Members::exact)) return Verdict::unsaid;
    }
    return judge(none, depth + 1) == Verdict::yes ? Verdict::no : Verdict::unsaid;
  }

  // "then" where the value is as "if" says, "else" where it is not.
  Verdict branch(const Json& schema, Verdict condition, int depth) {
    if (condition == Verdict::unsaid) return Verdict::unsaid;
    const Json* part = member(schema, condition == Verdict::yes ? "then" : "else");
    return part == nullptr ? Verdict::unsaid : judge(*part, depth + 1);
  }

  Verdict type(const Json& schema) const {
    const Json* type = member(schema, "type");
    if (type == nullptr) {
      if (member(schema, "properties") != nullptr) return yes_if(value_.is_object());
      for (const char* key : {"items", "prefixItems"}) {
        if (member(schema, key) != nullptr) return yes_if(value_.is_array());
      }
      return Verdict::unsaid;
    }
    if (type->is_string()) return yes_if(is_a(*type));
    if (!type->is_array()) return Verdict::unsaid;
    return yes_if(std::ranges::any_of(*type, [&](const Json& one) { return is_a(one); }));
  }

  bool is_a(const Json& type) const {
    return type.is_string() &&
           has_type(value_, ascii_lower(trim(type.get_ref<const std::string&>(), " \t\r\n\f\v")));
  }

  bool equals(const Json& constant) {
    ++n_visits_;
    return members_ == Members::exact ? value_ == constant : same_type(value_, constant);
  }

  Verdict one_of(const Json& list) {
    if (!list.is_array()) return Verdict::unsaid;
    for (const Json& constant : list) {
      if (n_visits_ > kMaxVisits) return Verdict::unsaid;
      if (equals(constant)) return Verdict::yes;
    }
    return Verdict::no;
  }

  Verdict any(const Json& list, int depth) {
    if (!list.is_array() || list.empty()) return Verdict::unsaid;
    Verdict best = Verdict::no;
    for (const Json& part : list) {
      best = std::max(best, judge(part, depth + 1));
      if (best == Verdict::yes) break;
    }
    return best;
  }

  const Json& root_;
  const Json& value_;
  const Members members_;
  int n_visits_ = 0;
  std::map<const Json*, Verdict> referred_;
};

// What the text spells besides text.
struct Reading {
  Json value;
  std::string json;
  bool loose = false;  // digits as neither JSON nor Python writes them
};

// +5, 007, 5., .5: without the sign and with the zeros that JSON wants.
std::string tidy_number(std::string_view text) {
  std::string out;
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.starts_with('-')) {
    out = "-";
    text.remove_prefix(1);
  }
  while (text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9') {
    text.remove_prefix(1);
  }
  if (text.starts_with('.')) out += '0';
  out += text;
  if (out.ends_with('.')) out += '0';
  return out;
}

std::optional<Reading> read_value(std::string_view text) {
  text = trim(text, " \t\r\n\f\v");
  if (auto value = read_json(text)) {
    if (value->is_string()) return std::nullopt;  // its quotes are part of the text
    return Reading{*std::move(value), python_spelling(text)};
  }
  std::optional<std::string> json;
  const std::string word = ascii_lower(text.substr(0, 6));
  bool loose = false;
  if (word == "null" || word == "none") {
    json = "null";
  } else if (word == "true" || word == "false") {
    json = word;
  } else if (!text.starts_with('\'') && !text.starts_with('"')) {
    json = python_literal(text);
    loose = !json.has_value() && !text.empty() &&
            text.find_first_not_of("+-.eE0123456789") == text.npos;
    if (loose) json = tidy_number(text);
  }
  if (!json) return std::nullopt;
  auto value = read_json(*json);
  if (!value) return std::nullopt;
  return Reading{*std::move(value), *std::move(json), loose};
}

// The places that were searched are searched once: $ref may form circles.
struct Search {
  const Json& root;
  const std::string& name;
  std::set<const Json*> seen = {};
};

const Json* find_property(Search& search, const Json& schema, int depth) {
  if (!schema.is_object() || depth > kMaxDepth || search.seen.size() > kMaxVisits) return nullptr;
  if (!search.seen.insert(&schema).second) return nullptr;
  if (const Json* properties = member(schema, "properties")) {
    if (const Json* found = member(*properties, search.name.c_str())) return found;
  }
  if (const Json* ref = member(schema, "$ref")) {
    const Json* target = resolve(search.root, *ref);
    const Json* found = target == nullptr ? nullptr : find_property(search, *target, depth + 1);
    if (found != nullptr) return found;
  }
  for (const char* key : {"allOf", "anyOf", "oneOf"}) {
    const Json* list = member(schema, key);
    if (list == nullptr || !list->is_array()) continue;
    for (const Json& part : *list) {
      if (const Json* found = find_property(search, part, depth + 1)) return found;
    }
  }
  for (const char* key : {"then", "else"}) {
    const Json* part = member(schema, key);
    if (part == nullptr) continue;
    if (const Json* found = find_property(search, *part, depth + 1)) return found;
  }
  const Json* others = member(schema, "additionalProperties");
  return others != nullptr && others->is_object() ? others : nullptr;
}

}  // namespace

const Json* parameter_schema(const Json& parameters, const std::string& name) {
  Search search{.root = parameters, .name = name};
  return find_property(search, parameters, 0);
}

std::string parameter_json(std::string_view text, const Json* schema, const Json& parameters) {
  using Verdict = Judge::Verdict;
  const Json as_text = std::string(text);
  const auto as_string = [&] { return python_json(as_text); };
  if (schema == nullptr) return as_string();
  const auto reading = read_value(text);
  if (!reading) return as_string();
  for (const auto members : {Judge::Members::exact, Judge::Members::types}) {
    const Verdict other = Judge(parameters, reading->value, members).judge(*schema);
    const Verdict plain = Judge(parameters, as_text, members).judge(*schema);
    const bool no_text = plain == Verdict::no;
    if (other == Verdict::yes && (no_text || !reading->loose)) return reading->json;
    if (other == Verdict::unsaid && no_text) return reading->json;
    if (!no_text) return as_string();
  }
  return reading->json;
}

}  // namespace qwen3
