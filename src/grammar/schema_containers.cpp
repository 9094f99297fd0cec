// The keywords of arrays and of objects.
#include <fmt/format.h>

#include <algorithm>
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
  array.min = count(schema, "minItems", 0);
  array.max = count(schema, "maxItems", -1);
  read_items(array, schema);
  if (const Json* unique = schema.find("uniqueItems")) {
    if (!unique->is_boolean()) schema.invalid("uniqueItems", "true or false");
    array.unique = unique->get<bool>();
    array.unique_place = schema.at("uniqueItems");
  }
  shape.arrays.clear();
  if (read_contains(array, schema) && array.settle()) shape.arrays.push_back(std::move(array));
}

// False: no array is valid.
bool SchemaReader::read_contains(ArrayShape& array, const Keywords& schema) {
  const Json* contains = schema.find("contains", SchemaDialect::draft6);
  if (contains == nullptr) return true;
  const bool counted = schema.dialect >= SchemaDialect::draft2019;
  ItemCount items;
  items.item = goal_of(document_.subschema(schema.id, *contains, "/contains"));
  items.min = counted ? count(schema, "minContains", 1) : 1;
  items.max = counted ? count(schema, "maxContains", -1) : -1;
  items.place = schema.at("contains");
  if (items.item == kNothing) return items.min == 0;
  if (items.item == kAnything) {
    array.min = std::max(array.min, items.min);
    if (items.max >= 0) array.max = array.max < 0 ? items.max : std::min(array.max, items.max);
    array.evaluates_all |= schema.dialect >= SchemaDialect::draft2020;
  } else if (items.min > 0 || items.max >= 0 || document_.has_unevaluated()) {
    array.counts.push_back(std::move(items));
  }
  return true;
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
  if (prefix != nullptr) {
    if (!prefix->is_array()) schema.invalid(prefix_keyword, "a list of schemas");
    for (size_t i = 0; i < prefix->size(); ++i) {
      const std::string steps = fmt::format("/{}/{}", prefix_keyword, i);
      array.prefix.push_back(goal_of(document_.subschema(schema.id, (*prefix)[i], steps)));
    }
  }
  array.n_evaluated = std::ssize(array.prefix);
  if (rest == nullptr) return;
  array.evaluates_all = true;
  array.rest = goal_of(document_.subschema(schema.id, *rest, fmt::format("/{}", rest_keyword)));
}

void SchemaReader::read_objects(Shape& shape, const Keywords& schema) {
  ObjectShape object = ObjectShape::any();
  object.min = count(schema, "minProperties", 0);
  object.max = count(schema, "maxProperties", -1);
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
    object.keys.push_back({item.key(), value, false, true, false, true});
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
      object.evaluated.push_back(std::make_shared<const TextDfa>(names));
      split_classes(matched, unmatched, names, value);
      if (matched.size() <= kMaxKeyClasses) continue;
      fail_schema(
          GrammarFault::too_complex, schema.place + steps, "too many patterns that overlap");
    }
  }
  if (const Json* additional = schema.find("additionalProperties")) {
    object.says_others = object.evaluates_all = true;
    const Goal value =
        goal_of(document_.subschema(schema.id, *additional, "/additionalProperties"));
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
