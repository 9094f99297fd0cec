// An instance as a text of its schema's grammar: keys in the schema's order, numbers in their shortest spelling. By
// the shapes alone, without the grammar: what has a spelling must be a text of the grammar.
#pragma once

#include <optional>
#include <string>

#include "grammar/schema_reader.h"
#include "support/json_instances.h"

namespace qwen3 {

class SchemaSpelling {
 public:
  SchemaSpelling(const Json& schema, const JsonSchemaOptions& options)
      : reader_(schema, options, [](int64_t) {}), closes_(!options.open_objects) {}

  // None if the instance is not valid (or closed objects do not have its keys).
  std::optional<std::string> of(const Json& instance) { return of(reader_.root(), instance); }

 private:
  std::optional<std::string> of(Goal goal, const Json& value) {
    if (goal == kNothing) return std::nullopt;
    const Shape& shape = reader_.shape(goal);
    bool fits = false;
    if (value.is_null()) fits = shape.null;
    if (value.is_boolean()) fits = value.get<bool>() ? shape.yes : shape.no;
    if (value.is_string()) fits = contains(shape.strings, value.get<std::string>());
    if (value.is_number()) fits = shape.numbers.shortest().contains(canonical_json(value));
    if (!value.is_structured()) return fits ? std::optional(canonical_json(value)) : std::nullopt;
    for (const ArrayShape& array : shape.arrays) {
      if (!value.is_array()) break;
      if (auto text = of(array, value)) return text;
    }
    for (const ObjectShape& object : shape.objects) {
      if (!value.is_object()) break;
      if (auto text = of(object, value)) return text;
    }
    return std::nullopt;
  }

  static bool contains(const TextUnion& strings, const std::string& text) {
    const auto length = std::count_if(text.begin(), text.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    });
    return std::any_of(strings.parts().begin(), strings.parts().end(), [&](const SizedTexts& part) {
      return length >= part.min && (part.max < 0 || length <= part.max) && part.set->contains(text);
    });
  }

  std::optional<std::string> of(const ArrayShape& array, const Json& value) {
    const auto n = static_cast<int64_t>(value.size());
    if (n < array.min || (array.max >= 0 && n > array.max)) return std::nullopt;
    std::string out;
    for (size_t i = 0; i < value.size(); ++i) {
      const auto item = of(i < array.prefix.size() ? array.prefix[i] : array.rest, value[i]);
      if (!item) return std::nullopt;
      for (size_t j = 0; array.unique && j < i; ++j) {
        if (canonical_json(value[i]) == canonical_json(value[j])) return std::nullopt;
      }
      out += (i > 0 ? "," : "") + *item;
    }
    return "[" + out + "]";
  }

  std::optional<std::string> of(const ObjectShape& object, const Json& value) {
    const auto n = static_cast<int64_t>(value.size());
    if (n < object.min || (object.max >= 0 && n > object.max)) return std::nullopt;
    const bool closed = closes_ && object.has_properties && !object.says_others &&
                        object.min <= static_cast<int64_t>(object.keys.size());
    std::string out;
    const auto add = [&](const std::string& name, Goal goal, const Json& member) {
      const auto text = of(goal, member);
      if (text) out += (out.empty() ? "" : ",") + dump_json(Json(name)) + ":" + *text;
      return text.has_value();
    };
    for (const bool declared : {true, false}) {
      for (const KeyShape& key : object.keys) {
        if (key.declared != declared) continue;
        const auto member = value.find(key.name);
        if (member == value.end() ? key.required : closed && !key.declared && !key.asked_for) {
          return std::nullopt;
        }
        if (member != value.end() && !add(key.name, key.value, *member)) return std::nullopt;
      }
    }
    for (const auto& item : value.items()) {
      if (object.find(item.key()) != nullptr) continue;
      if (closed || !add(item.key(), object.class_value(item.key()), item.value())) {
        return std::nullopt;
      }
    }
    return "{" + out + "}";
  }

  SchemaReader reader_;
  bool closes_;
};

}  // namespace qwen3
