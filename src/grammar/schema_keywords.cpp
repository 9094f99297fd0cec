// The keywords that apply to one type each, and type, enum and const.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <utility>

#include "grammar/limits.h"
#include "grammar/schema_reader.h"
#include "grammar/schema_uri.h"

namespace qwen3 {
namespace {}  // namespace

void SchemaReader::Keywords::invalid(std::string_view keyword, const std::string& expected) const {
  fail_schema(GrammarFault::invalid_schema, at(keyword), "expected " + expected);
}

void SchemaReader::Keywords::unsupported(std::string_view keyword, const std::string& why) const {
  fail_schema(GrammarFault::unsupported_schema, at(keyword), why);
}

int64_t SchemaReader::Keywords::count(const char* keyword, int64_t fallback) const {
  const Json* value = find(keyword);
  if (value == nullptr) return fallback;
  const bool whole = value->is_number() && value->get<double>() >= 0 &&
                     value->get<double>() == std::floor(value->get<double>());
  if (!whole) invalid(keyword, "a whole number from 0 on");
  if (value->get<double>() > static_cast<double>(kMaxRepeat)) {
    fail_schema(GrammarFault::too_complex, at(keyword), fmt::format("more than {}", kMaxRepeat));
  }
  return static_cast<int64_t>(value->get<double>());
}

void SchemaReader::read_type(Shape& shape, const Keywords& schema) const {
  const Json* type = schema.find("type");
  if (type == nullptr) return;
  Shape any = std::exchange(shape, Shape{});
  const auto allow = [&](const Json& name) {
    const std::string text = name.is_string() ? name.get<std::string>() : "";
    if (text == "null") {
      shape.null = true;
    } else if (text == "boolean") {
      shape.no = shape.yes = true;
    } else if (text == "integer") {
      shape.numbers = shape.numbers | NumberSet::integers();
    } else if (text == "number") {
      shape.numbers = any.numbers;
    } else if (text == "string") {
      shape.strings = any.strings;
    } else if (text == "array") {
      shape.arrays = any.arrays;
    } else if (text == "object") {
      shape.objects = any.objects;
    } else {
      schema.invalid("type", "null, boolean, integer, number, string, array or object");
    }
  };
  if (!type->is_array()) return allow(*type);
  for (const Json& name : *type) allow(name);
}

void SchemaReader::read_numbers(Shape& shape, const Keywords& schema) const {
  const auto number = [&](const char* keyword) -> const Json* {
    const Json* value = schema.find(keyword);
    if (value == nullptr || value->is_number()) return value;
    schema.invalid(keyword, "a number");
  };
  const auto exclusive = [&](const char* keyword) {  // of draft 4: true beside minimum
    const Json* value = schema.find(keyword);
    return value != nullptr && value->is_boolean() ? value : nullptr;
  };
  NumberSet& numbers = shape.numbers;
  if (const Json* least = number("minimum")) {
    const Json* open = exclusive("exclusiveMinimum");
    const Decimal bound = to_decimal(*least);
    numbers = numbers & (open != nullptr && *open == true ? NumberSet::above(bound)
                                                          : NumberSet::at_least(bound));
  }
  if (const Json* most = number("maximum")) {
    const Json* open = exclusive("exclusiveMaximum");
    const Decimal bound = to_decimal(*most);
    numbers = numbers & (open != nullptr && *open == true ? NumberSet::below(bound)
                                                          : NumberSet::at_most(bound));
  }
  if (exclusive("exclusiveMinimum") == nullptr) {
    if (const Json* bound = number("exclusiveMinimum")) {
      numbers = numbers & NumberSet::above(to_decimal(*bound));
    }
  }
  if (exclusive("exclusiveMaximum") == nullptr) {
    if (const Json* bound = number("exclusiveMaximum")) {
      numbers = numbers & NumberSet::below(to_decimal(*bound));
    }
  }
  if (const Json* divisor = number("multipleOf")) {
    const Decimal value = to_decimal(*divisor);
    if (value.negative || value.digits.empty()) schema.invalid("multipleOf", "a number above 0");
    numbers = numbers & NumberSet::multiples(value, schema.at("multipleOf"));
  }
  const Json* format = schema.find("format");
  if (format == nullptr) return;
  if (*format == "int32" || *format == "int64") {
    const bool wide = *format == "int64";
    const Json least = wide ? std::numeric_limits<int64_t>::min() : -(int64_t{1} << 31);
    const Json most = wide ? std::numeric_limits<int64_t>::max() : (int64_t{1} << 31) - 1;
    numbers = numbers & NumberSet::integers() & NumberSet::at_least(to_decimal(least)) &
              NumberSet::at_most(to_decimal(most));
  }
}

void SchemaReader::read_strings(Shape& shape, const Keywords& schema) const {
  TextPart length = shape.strings.parts()[0];
  length.min = schema.count("minLength", 0);
  length.max = schema.count("maxLength", -1);
  TextUnion strings = TextUnion::of(length);
  if (const Json* pattern = schema.find("pattern")) {
    if (!pattern->is_string()) schema.invalid("pattern", "a regular expression");
    const std::string& regex = pattern->get_ref<const std::string&>();
    const auto set = std::make_shared<const TextDfa>(TextDfa::search(regex, schema.at("pattern")));
    strings = strings.intersect(TextUnion::of({set}), spend_);
  }
  if (const Json* format = schema.find("format")) {
    if (!format->is_string()) schema.invalid("format", "a name");
    if (const auto known = find_format(format->get_ref<const std::string&>())) {
      strings = strings.intersect(TextUnion::of({known->texts, 0, known->max_length}), spend_);
    }
  }
  shape.strings = strings;
}

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
  const Json* unevaluated = schema.find("unevaluatedItems", SchemaDialect::draft2019);
  if (unevaluated != nullptr && *unevaluated != true && rest == nullptr) {
    for (const char* keyword : {"$ref",
                                "allOf",
                                "anyOf",
                                "oneOf",
                                "not",
                                "if",
                                "contains",
                                "dependentSchemas",
                                "$dynamicRef",
                                "$recursiveRef"}) {
      if (schema.find(keyword) == nullptr) continue;
      schema.unsupported("unevaluatedItems", fmt::format("not enforced here beside {}", keyword));
    }
    rest = unevaluated;
    rest_keyword = "unevaluatedItems";
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
  if (patterns != nullptr && !patterns->is_object())
    schema.invalid("patternProperties", "an object");
  if (patterns != nullptr) {
    object.says_others = !patterns->empty();
    for (const auto& item : patterns->items()) {
      spend_(0);
      const std::string steps = "/patternProperties" + pointer_step(item.key());
      const Goal value = goal_of(document_.subschema(schema.id, item.value(), steps));
      const TextDfa names = TextDfa::search(item.key(), schema.place + steps);
      const TextDfa others = names.complement();
      for (KeyShape& key : object.keys) {
        if (names.contains(key.name)) key.value = goals_.both(key.value, value);
      }
      const auto part = [this](const KeyClass& from, const TextDfa& by) {
        spend_(0);
        return std::make_shared<const TextDfa>(*from.names & by);
      };
      std::vector<KeyClass> refined;
      for (const KeyClass& before : matched) {
        refined.push_back({part(before, names), goals_.both(before.value, value)});
        refined.push_back({part(before, others), before.value});
      }
      for (KeyClass& before : unmatched) {
        refined.push_back({part(before, names), value});
        before.names = part(before, others);
      }
      std::erase_if(refined, [](const KeyClass& c) { return c.names->empty(); });
      if (refined.size() > 64) {
        fail_schema(
            GrammarFault::too_complex, schema.place + steps, "too many patterns that overlap");
      }
      matched = std::move(refined);
    }
  }
  const char* keyword = "additionalProperties";
  const Json* additional = schema.find(keyword);
  const Json* unevaluated = schema.find("unevaluatedProperties", SchemaDialect::draft2019);
  if (additional == nullptr && unevaluated != nullptr) {
    keyword = "unevaluatedProperties";
    additional = unevaluated;
    for (const char* beside : {"$ref",
                               "allOf",
                               "anyOf",
                               "oneOf",
                               "not",
                               "if",
                               "dependentSchemas",
                               "dependencies",
                               "$dynamicRef",
                               "$recursiveRef"}) {
      if (schema.find(beside) == nullptr || *unevaluated == true) continue;
      schema.unsupported(keyword, fmt::format("not enforced here beside {}", beside));
    }
  }
  if (additional != nullptr) {
    object.says_others = true;
    const Goal value =
        goal_of(document_.subschema(schema.id, *additional, fmt::format("/{}", keyword)));
    for (KeyClass& others : unmatched) others.value = value;
  }
  for (std::vector<KeyClass>* classes : {&matched, &unmatched}) {
    for (KeyClass& others : *classes) {
      if (others.value != kNothing && !others.names->empty()) object.classes.push_back(others);
    }
  }
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

void SchemaReader::read_values(Shape& shape, const Keywords& schema) {
  if (const Json* value = schema.find("const", SchemaDialect::draft6)) {
    const SchemaId id = document_.constant(schema.id, *value, "/const");
    shape = algebra_.intersect(shape, constant(id), schema.at("const"));
  }
  const Json* values = schema.find("enum");
  if (values == nullptr) return;
  if (!values->is_array()) schema.invalid("enum", "a list of values");
  if (static_cast<int64_t>(values->size()) > kMaxEnumValues) {
    fail_schema(GrammarFault::too_complex,
                schema.at("enum"),
                fmt::format("more than {} values", kMaxEnumValues));
  }
  Shape any;
  std::vector<std::string> texts;
  std::vector<Decimal> numbers;
  for (size_t i = 0; i < values->size(); ++i) {
    const Json& value = (*values)[i];
    if (value.is_string()) {
      texts.push_back(value.get<std::string>());
    } else if (value.is_number()) {
      numbers.push_back(to_decimal(value));
    } else {
      const SchemaId id = document_.constant(schema.id, value, fmt::format("/enum/{}", i));
      any = algebra_.unite(any, constant(id));
    }
  }
  any.strings = TextUnion::of({std::make_shared<const TextDfa>(TextDfa::of(texts))});
  any.numbers = NumberSet::of(numbers);
  shape = algebra_.intersect(shape, any, schema.at("enum"));
}

// Of the node {"const": value}. Its members and items are such nodes again.
Shape SchemaReader::constant(SchemaId id) {
  const Json& value = *document_.node(id).json;
  Shape shape;
  const auto part = [&](const Json& json, const std::string& steps) {
    return goals_.of({document_.constant(id, json, steps), false});
  };
  if (value.is_null()) {
    shape.null = true;
  } else if (value.is_boolean()) {
    (value.get<bool>() ? shape.yes : shape.no) = true;
  } else if (value.is_number()) {
    shape.numbers = NumberSet::of({to_decimal(value)});
  } else if (value.is_string()) {
    const TextDfa text = TextDfa::of({value.get<std::string>()});
    shape.strings = TextUnion::of({std::make_shared<const TextDfa>(text)});
  } else if (value.is_array()) {
    ArrayShape array;
    array.min = array.max = static_cast<int64_t>(value.size());
    for (size_t i = 0; i < value.size(); ++i) {
      array.prefix.push_back(part(value[i], fmt::format("/{}", i)));
    }
    shape.arrays.push_back(std::move(array));
  } else {
    ObjectShape object;
    object.says_others = true;
    for (const auto& item : value.items()) {
      object.keys.push_back(
          {item.key(), part(item.value(), pointer_step(item.key())), true, true, true});
    }
    shape.objects.push_back(std::move(object));
  }
  return shape;
}

}  // namespace qwen3
