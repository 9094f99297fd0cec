// type, enum and const, and the keywords of numbers and strings.
#include <fmt/format.h>

#include <memory>
#include <utility>

#include "grammar/limits.h"
#include "grammar/schema_reader.h"
#include "grammar/schema_uri.h"

namespace qwen3 {
namespace {

// Many texts are several automata, for one has a state for every character that they do not share.
TextUnion enumerated(const std::vector<std::string>& texts, const Spend& spend) {
  constexpr size_t kMaxPartBytes = kMaxDfaStates / 4;
  TextUnion all;
  std::vector<std::string> part;
  size_t n_bytes = 0;
  const auto finish = [&] {
    const TextDfa set = TextDfa::of(part);
    all = all.unite(TextUnion::of({std::make_shared<const TextDfa>(set)}), spend);
    part.clear();
    n_bytes = 0;
  };
  for (const std::string& text : texts) {
    if (!part.empty() && n_bytes + text.size() > kMaxPartBytes) finish();
    n_bytes += text.size();
    part.push_back(text);
  }
  if (!part.empty()) finish();
  return all;
}

}  // namespace

void SchemaReader::Keywords::invalid(std::string_view keyword, const std::string& expected) const {
  fail_schema(GrammarFault::invalid_schema, at(keyword), "expected " + expected);
}

void SchemaReader::Keywords::unsupported(std::string_view keyword, const std::string& why) const {
  fail_schema(GrammarFault::unsupported_schema, at(keyword), why);
}

int64_t SchemaReader::count(const Keywords& schema, const char* keyword, int64_t fallback) const {
  const Json* value = schema.find(keyword);
  if (value == nullptr) return fallback;
  if (!value->is_number()) schema.invalid(keyword, "a whole number from 0 on");
  const Decimal number = decimal(*value, schema.at(keyword));
  if (number.negative || !number.is_integer()) {
    schema.invalid(keyword, "a whole number from 0 on");
  }
  if (value->get<double>() > static_cast<double>(kMaxRepeat)) {
    fail_schema(
        GrammarFault::too_complex, schema.at(keyword), fmt::format("more than {}", kMaxRepeat));
  }
  return static_cast<int64_t>(value->get<double>());
}

Decimal SchemaReader::decimal(const Json& number, const std::string& place) const {
  return to_decimal(number, options_.numbers, place);
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
    const Decimal bound = decimal(*least, schema.at("minimum"));
    numbers = numbers & (open != nullptr && *open == true ? NumberSet::above(bound)
                                                          : NumberSet::at_least(bound));
  }
  if (const Json* most = number("maximum")) {
    const Json* open = exclusive("exclusiveMaximum");
    const Decimal bound = decimal(*most, schema.at("maximum"));
    numbers = numbers & (open != nullptr && *open == true ? NumberSet::below(bound)
                                                          : NumberSet::at_most(bound));
  }
  if (exclusive("exclusiveMinimum") == nullptr) {
    if (const Json* bound = number("exclusiveMinimum")) {
      numbers = numbers & NumberSet::above(decimal(*bound, schema.at("exclusiveMinimum")));
    }
  }
  if (exclusive("exclusiveMaximum") == nullptr) {
    if (const Json* bound = number("exclusiveMaximum")) {
      numbers = numbers & NumberSet::below(decimal(*bound, schema.at("exclusiveMaximum")));
    }
  }
  if (const Json* divisor = number("multipleOf")) {
    const Decimal value = decimal(*divisor, schema.at("multipleOf"));
    if (value.negative || value.digits.empty()) schema.invalid("multipleOf", "a number above 0");
    numbers = numbers & NumberSet::multiples(value, schema.at("multipleOf"));
  }
  const Json* format = schema.find("format");
  if (format == nullptr) return;
  if (*format == "int32" || *format == "int64") {
    const bool wide = *format == "int64";
    const char* least = wide ? "-9223372036854775808" : "-2147483648";
    const char* most = wide ? "9223372036854775807" : "2147483647";
    numbers = numbers & NumberSet::integers() & NumberSet::at_least(to_decimal(least)) &
              NumberSet::at_most(to_decimal(most));
  }
}

void SchemaReader::read_strings(Shape& shape, const Keywords& schema) const {
  SizedTexts length = shape.strings.parts()[0];
  length.min = count(schema, "minLength", 0);
  length.max = count(schema, "maxLength", -1);
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
      numbers.push_back(decimal(value, fmt::format("{}/enum/{}", schema.place, i)));
    } else {
      const SchemaId id = document_.constant(schema.id, value, fmt::format("/enum/{}", i));
      any = algebra_.unite(any, constant(id));
    }
  }
  any.strings = enumerated(texts, spend_);
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
    shape.numbers = NumberSet::of({decimal(value, document_.node(id).place)});
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
