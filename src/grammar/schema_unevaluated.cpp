// unevaluatedProperties and unevaluatedItems: what no other keyword has looked at, those of $ref, allOf, anyOf and the
// like included where they hold. Shapes are the ways in which they can hold together, and each knows what was looked at
// on its way.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grammar/schema_reader.h"

namespace qwen3 {
namespace {

bool holds(const std::vector<TextSetPtr>& sets, const std::string& name) {
  return std::any_of(
      sets.begin(), sets.end(), [&](const TextSetPtr& set) { return set->contains(name); });
}

}  // namespace

void SchemaReader::read_unevaluated(Shape& shape, const Keywords& schema) {
  if (const Json* value = schema.find("unevaluatedProperties", SchemaDialect::draft2019)) {
    const Goal goal = goal_of(document_.subschema(schema.id, *value, "/unevaluatedProperties"));
    std::vector<ObjectShape> kept;
    for (ObjectShape& object : shape.objects) {
      if (hold_unevaluated(object, goal)) kept.push_back(std::move(object));
    }
    shape.objects = std::move(kept);
  }
  if (const Json* value = schema.find("unevaluatedItems", SchemaDialect::draft2019)) {
    const Goal goal = goal_of(document_.subschema(schema.id, *value, "/unevaluatedItems"));
    std::vector<ArrayShape> kept;
    for (ArrayShape& array : shape.arrays) {
      const bool marks = schema.dialect >= SchemaDialect::draft2020 && goal != kAnything;
      if (marks && !array.counts.empty() && !array.evaluates_all) {
        schema.unsupported("unevaluatedItems", "not enforced here beside contains");
      }
      if (hold_unevaluated(array, goal)) kept.push_back(std::move(array));
    }
    shape.arrays = std::move(kept);
  }
}

// False: it has no value any more.
bool SchemaReader::hold_unevaluated(ObjectShape& object, Goal goal) {
  object.says_others = true;
  if (std::exchange(object.evaluates_all, true)) return true;
  for (KeyShape& key : object.keys) {
    if (key.evaluated || holds(object.evaluated, key.name)) continue;
    key.value = goals_.both(key.value, goal);
    if (key.value == kNothing && key.required) return false;
  }
  std::vector<KeyClass> others = std::move(object.classes);
  object.classes.clear();
  for (const TextSetPtr& evaluated : object.evaluated) {
    std::vector<KeyClass> left;
    for (const KeyClass& part : others) {
      spend_(0);
      const auto within = std::make_shared<const TextDfa>(*part.names & *evaluated);
      const auto without = std::make_shared<const TextDfa>(*part.names & evaluated->complement());
      if (!within->empty()) object.classes.push_back({within, part.value});
      if (!without->empty()) left.push_back({without, part.value});
    }
    others = std::move(left);
  }
  for (KeyClass& part : others) {
    part.value = goals_.both(part.value, goal);
    if (part.value != kNothing) object.classes.push_back(std::move(part));
  }
  return true;
}

bool SchemaReader::hold_unevaluated(ArrayShape& array, Goal goal) {
  if (std::exchange(array.evaluates_all, true)) return true;
  const int64_t most = array.max < 0 ? array.n_evaluated : std::min(array.n_evaluated, array.max);
  while (std::ssize(array.prefix) < most) array.prefix.push_back(array.rest);
  for (size_t i = static_cast<size_t>(most); i < array.prefix.size(); ++i) {
    array.prefix[i] = goals_.both(array.prefix[i], goal);
  }
  array.rest = goals_.both(array.rest, goal);
  return array.settle();
}

}  // namespace qwen3
