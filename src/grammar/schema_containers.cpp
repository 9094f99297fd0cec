// The keywords of arrays and of objects.
#include <fmt/format.h>

#include <map>
#include <memory>
#include <utility>

#include "grammar/schema_reader.h"
#include "grammar/schema_uri.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxKeyClasses = 64;

}  // namespace

void SchemaReader::read_arrays(Shape& shape, const Keywords& schema) {
  ArrayShape array;
  array.min = schema.count("minItems", 0);
  array.max = schema.count("maxItems", -1);
  read_items(array, schema);
  if (const Json* unique = schema.find("uniqueItems")) {
    if (!unique->is_boolean()) schema.invalid("uniqueItems", "true or false");
    array.unique = unique->get<bool>();
    array.unique_place = schema.at("uniqueItems");
  }
  if (schema.find("contains", SchemaDialect::draft6) != nullptr) {
    const bool counted = schema.dialect >= SchemaDialect::draft2019;
    const int64_t least = counted ? schema.count("minContains", 1) : 1;
    const bool most = counted && schema.find("maxContains") != nullptr;
    if ((least > 0 || most) && array.max != 0) schema.unsupported("contains", "not enforced here");
  }
  const auto n_prefix = static_cast<int64_t>(array.prefix.size());
  for (int64_t i = 0; i <= n_prefix; ++i) {
    const Goal goal = i < n_prefix ? array.prefix[static_cast<size_t>(i)] : array.rest;
    if (goal != kNothing || (array.max >= 0 && array.max <= i)) continue;
    array.max = i;
    array.rest = kAnything;
  }
  if (array.max >= 0 && n_prefix > array.max) array.prefix.resize(static_cast<size_t>(array.max));
  shape.arrays.clear();
  if (array.max < 0 || array.min <= array.max) shape.arrays.push_back(std::move(array));
}

// Tuples: `prefixItems` and `items` since 2020-12, a list as `items` and `additionalItems` before. The list is
// taken in 2020-12 too, where it means nothing else.
void SchemaReader::read_items(ArrayShape& array, const Keywords& schema) {
  const char* prefix_keyword = "prefixItems";
  const char* rest_keyword = "items";
  const Json* prefix = schema.find("prefixItems", SchemaDialect::draft2020);
  const Json* items = schema.find("items");
  if (prefix == nullptr && items != nullptr && items->is_array()) {
    prefix = items;
    prefix_keyword = "items";
    rest_keyword = "additionalItems";
  }
  const Json* rest = schema.find(rest_keyword);
  if (rest == nullptr) {
    rest_keyword = "unevaluatedItems";
    rest = unevaluated(rest_keyword, schema);
  }
  if (prefix != nullptr) {
    if (!prefix->is_array()) schema.invalid(prefix_keyword, "a list of schemas");
    for (size_t i = 0; i < prefix->size(); ++i) {
      const std::string steps = fmt::format("/{}/{}", prefix_keyword, i);
      array.prefix.push_back(goal_of(document_.subschema(schema.id, (*prefix)[i], steps)));
    }
  }
  if (rest == nullptr) return;
  array.rest = goal_of(document_.subschema(schema.id, *rest, fmt::format("/{}", rest_keyword)));
}

void SchemaReader::read_objects(Shape& shape, const Keywords& schema) {
  ObjectShape object = ObjectShape::any();
  object.min = schema.count("minProperties", 0);
  object.max = schema.count("maxProperties", -1);
  read_properties(object, schema);
  read_other_keys(object, schema);
  read_property_names(object, schema);
  read_required(object, schema);
  shape.objects = algebra_.intersect({ObjectShape::any()}, {object}, schema.place);
}

void SchemaReader::read_properties(ObjectShape& object, const Keywords& schema) {
  const Json* properties = schema.find("properties");
  if (properties == nullptr) return;
  if (!properties->is_object()) schema.invalid("properties", "an object");
  object.has_properties = true;
  for (const auto& item : properties->items()) {
    const std::string steps = "/properties" + pointer_step(item.key());
    const Goal value = goal_of(document_.subschema(schema.id, item.value(), steps));
    object.keys.push_back({item.key(), value, false, true});
  }
}

void SchemaReader::read_other_keys(ObjectShape& object, const Keywords& schema) {
  std::vector<KeyClass> matched;
  std::vector<KeyClass> unmatched = std::move(object.classes);
  const Json* patterns = schema.find("patternProperties");
  if (patterns != nullptr) {
    if (!patterns->is_object()) schema.invalid("patternProperties", "an object");
    object.says_others = !patterns->empty();
    for (const auto& item : patterns->items()) {
      const std::string steps = "/patternProperties" + pointer_step(item.key());
      const Goal value = goal_of(document_.subschema(schema.id, item.value(), steps));
      const TextDfa names = TextDfa::search(item.key(), schema.place + steps);
      for (KeyShape& key : object.keys) {
        if (names.contains(key.name)) key.value = goals_.both(key.value, value);
      }
      split_classes(matched, unmatched, names, value);
      if (matched.size() <= kMaxKeyClasses) continue;
      fail_schema(
          GrammarFault::too_complex, schema.place + steps, "too many patterns that overlap");
    }
  }
  const char* keyword = "additionalProperties";
  const Json* additional = schema.find(keyword);
  if (additional == nullptr) {
    keyword = "unevaluatedProperties";
    additional = unevaluated(keyword, schema);
  }
  if (additional != nullptr) {
    object.says_others = true;
    const Goal value =
        goal_of(document_.subschema(schema.id, *additional, fmt::format("/{}", keyword)));
    for (KeyClass& others : unmatched) others.value = value;
  }
  object.classes = std::move(matched);
  object.classes.insert(object.classes.end(), unmatched.begin(), unmatched.end());
  std::erase_if(object.classes,
                [](const KeyClass& c) { return c.value == kNothing || c.names->empty(); });
}

// Parts every class by whether a pattern matches: then `value` is asked of it too.
void SchemaReader::split_classes(std::vector<KeyClass>& matched,
                                 std::vector<KeyClass>& unmatched,
                                 const TextDfa& names,
                                 Goal value) {
  const TextDfa others = names.complement();
  const auto part = [this](const KeyClass& from, const TextDfa& by) {
    spend_(0);
    return std::make_shared<const TextDfa>(*from.names & by);
  };
  std::vector<KeyClass> parts;
  for (const KeyClass& before : matched) {
    parts.push_back({part(before, names), goals_.both(before.value, value)});
    parts.push_back({part(before, others), before.value});
  }
  for (KeyClass& before : unmatched) {
    parts.push_back({part(before, names), value});
    before.names = part(before, others);
  }
  std::erase_if(parts, [](const KeyClass& c) { return c.names->empty(); });
  matched = std::move(parts);
}

// unevaluatedItems or unevaluatedProperties, where nothing but the keywords of the same schema evaluates: then
// they mean what additionalItems and additionalProperties do.
const Json* SchemaReader::unevaluated(const char* keyword, const Keywords& schema) const {
  const Json* value = schema.find(keyword, SchemaDialect::draft2019);
  if (value == nullptr || *value == true) return value;
  for (const char* beside : {"$ref",
                             "allOf",
                             "anyOf",
                             "oneOf",
                             "not",
                             "if",
                             "contains",
                             "dependentSchemas",
                             "dependencies",
                             "$dynamicRef",
                             "$recursiveRef"}) {
    if (schema.find(beside) == nullptr) continue;
    schema.unsupported(keyword, fmt::format("not enforced here beside {}", beside));
  }
  return value;
}

void SchemaReader::read_property_names(ObjectShape& object, const Keywords& schema) {
  const Json* names = schema.find("propertyNames", SchemaDialect::draft6);
  if (names == nullptr) return;
  const SchemaId id = document_.subschema(schema.id, *names, "/propertyNames");
  const TextUnion strings = evaluate_apart(goal_of(id), Mode::exact).strings;
  if (strings.universal()) return;
  const TextDfa allowed = strings.automaton();
  for (KeyShape& key : object.keys) {
    if (!allowed.contains(key.name)) key.value = kNothing;
  }
  for (KeyClass& others : object.classes) {
    others.names = std::make_shared<const TextDfa>(*others.names & allowed);
  }
  std::erase_if(object.classes, [](const KeyClass& c) { return c.names->empty(); });
}

void SchemaReader::read_required(ObjectShape& object, const Keywords& schema) const {
  const Json* required = schema.find("required");
  if (required == nullptr) return;
  if (!required->is_array()) schema.invalid("required", "a list of names");
  std::map<std::string, size_t> known;
  for (size_t i = 0; i < object.keys.size(); ++i) known.emplace(object.keys[i].name, i);
  for (const Json& name : *required) {
    if (!name.is_string()) schema.invalid("required", "a list of names");
    const std::string& text = name.get_ref<const std::string&>();
    const auto [at, added] = known.emplace(text, object.keys.size());
    if (added) object.keys.push_back({text, object.class_value(text)});
    object.keys[at->second].required = true;
    object.keys[at->second].asked_for = true;
  }
}

}  // namespace qwen3
