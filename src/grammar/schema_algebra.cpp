#include "grammar/schema_algebra.h"

#include <fmt/format.h>

#include <algorithm>

#include "grammar/limits.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxCountedItems = 16;  // of which each may be the one that is not valid
constexpr size_t kMaxOptionalKeys = 4;    // whose absence is tried out in every combination

int64_t lesser_maximum(int64_t a, int64_t b) {
  if (a < 0) return b;
  return b < 0 ? a : std::min(a, b);
}

Goal item_at(const ArrayShape& array, size_t i) {
  return i < array.prefix.size() ? array.prefix[i] : array.rest;
}

template <typename Part>
void add_unless_there(std::vector<Part>& parts, Part part) {
  if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(std::move(part));
}

}  // namespace

Shape ShapeAlgebra::unite(const Shape& a, const Shape& b) const {
  Shape out = a;
  out.null |= b.null;
  out.no |= b.no;
  out.yes |= b.yes;
  out.numbers = a.numbers | b.numbers;
  out.strings = a.strings.unite(b.strings, spend_);
  for (const ArrayShape& array : b.arrays) add_unless_there(out.arrays, array);
  for (const ObjectShape& object : b.objects) add_unless_there(out.objects, object);
  spend_(0);
  return out;
}

Shape ShapeAlgebra::intersect(const Shape& a, const Shape& b, const std::string& place) const {
  Shape out;
  out.null = a.null && b.null;
  out.no = a.no && b.no;
  out.yes = a.yes && b.yes;
  out.numbers = a.numbers & b.numbers;
  out.strings = a.strings.intersect(b.strings, spend_);
  out.arrays = intersect(a.arrays, b.arrays, place);
  out.objects = intersect(a.objects, b.objects, place);
  return out;
}

Shape ShapeAlgebra::complement(const Shape& a, const std::string& place) const {
  Shape out;
  out.null = !a.null;
  out.no = !a.no;
  out.yes = !a.yes;
  out.numbers = a.numbers.complement();
  out.strings = a.strings.complement(spend_);
  out.arrays = complement(a.arrays, place);
  out.objects = complement(a.objects, place);
  return out;
}

// Every pair; the pairs that have something in common count.
template <typename Part, typename Both>
std::vector<Part> distribute(const std::vector<Part>& a,
                             const std::vector<Part>& b,
                             const std::string& place,
                             const Both& both) {
  std::vector<Part> out;
  const size_t limit = std::max({static_cast<size_t>(kMaxSchemaBranches), a.size(), b.size()});
  for (const Part& left : a) {
    for (const Part& right : b) {
      Part part;
      if (both(part, left, right)) add_unless_there(out, std::move(part));
      if (out.size() <= limit) continue;
      fail_schema(GrammarFault::too_complex,
                  place,
                  fmt::format("more than {} combinations of alternatives", limit));
    }
  }
  return out;
}

ShapeAlgebra::Arrays ShapeAlgebra::intersect(const Arrays& a,
                                             const Arrays& b,
                                             const std::string& place) const {
  return distribute(a, b, place, [this](ArrayShape& out, const ArrayShape& x, const ArrayShape& y) {
    spend_(0);
    return intersect(out, x, y);
  });
}

ShapeAlgebra::Objects ShapeAlgebra::intersect(const Objects& a,
                                              const Objects& b,
                                              const std::string& place) const {
  return distribute(
      a, b, place, [this](ObjectShape& out, const ObjectShape& x, const ObjectShape& y) {
        spend_(0);
        return intersect(out, x, y);
      });
}

bool ShapeAlgebra::intersect(ArrayShape& out, const ArrayShape& a, const ArrayShape& b) const {
  out.min = std::max(a.min, b.min);
  out.max = lesser_maximum(a.max, b.max);
  out.counts = a.counts;
  for (const ItemCount& count : b.counts) {
    const auto twin = std::find_if(out.counts.begin(), out.counts.end(), [&](const ItemCount& c) {
      return c.item == count.item;
    });
    if (twin == out.counts.end()) {
      out.counts.push_back(count);
    } else {
      twin->min = std::max(twin->min, count.min);
      twin->max = lesser_maximum(twin->max, count.max);
    }
  }
  out.n_evaluated = std::max(a.n_evaluated, b.n_evaluated);
  out.evaluates_all = a.evaluates_all || b.evaluates_all;
  out.unique = a.unique || b.unique;
  out.unique_place = a.unique ? a.unique_place : b.unique_place;
  out.rest = goals_.both(a.rest, b.rest);
  const size_t n_prefix = std::max(a.prefix.size(), b.prefix.size());
  for (size_t i = 0; i < n_prefix; ++i) {
    const Goal left = item_at(a, i);
    const Goal right = item_at(b, i);
    const Goal both = goals_.both(left, right);
    const bool new_goal = both != left && both != right;
    if (both == kNothing || (new_goal && impossible_(both))) {
      out.max = lesser_maximum(out.max, static_cast<int64_t>(i));
      break;
    }
    out.prefix.push_back(both);
  }
  if (out.prefix.size() == n_prefix &&
      (out.rest == kNothing ||
       (out.rest != a.rest && out.rest != b.rest && impossible_(out.rest)))) {
    out.max = lesser_maximum(out.max, static_cast<int64_t>(n_prefix));
  }
  return out.settle();
}

bool ShapeAlgebra::intersect(ObjectShape& out, const ObjectShape& a, const ObjectShape& b) const {
  out.min = std::max(a.min, b.min);
  out.max = lesser_maximum(a.max, b.max);
  out.has_properties = a.has_properties || b.has_properties;
  out.says_others = a.says_others || b.says_others;
  out.evaluates_all = a.evaluates_all || b.evaluates_all;
  out.evaluated = a.evaluated;
  for (const TextSetPtr& names : b.evaluated) add_unless_there(out.evaluated, names);
  const auto add = [&](const KeyShape& key, Goal other, const KeyShape* twin) {
    KeyShape both = key;
    both.value = goals_.both(key.value, other);
    if (twin != nullptr) {
      both.required |= twin->required;
      both.declared |= twin->declared;
      both.asked_for |= twin->asked_for;
      both.evaluated |= twin->evaluated;
    }
    const bool new_goal = both.value != key.value && both.value != other;
    if (new_goal && impossible_(both.value)) both.value = kNothing;
    out.keys.push_back(std::move(both));
    return out.keys.back().value != kNothing || !out.keys.back().required;
  };
  for (const KeyShape& key : a.keys) {
    const KeyShape* twin = b.find(key.name);
    if (!add(key, twin != nullptr ? twin->value : b.class_value(key.name), twin)) return false;
  }
  for (const KeyShape& key : b.keys) {
    if (a.find(key.name) == nullptr && !add(key, a.class_value(key.name), nullptr)) return false;
  }
  for (const KeyClass& left : a.classes) {
    for (const KeyClass& right : b.classes) {
      KeyClass both = {left.names, goals_.both(left.value, right.value)};
      if (both.value == kNothing) continue;
      spend_(0);
      if (left.names->universal()) {
        both.names = right.names;
      } else if (!right.names->universal() && left.names != right.names) {
        both.names = std::make_shared<const TextDfa>(*left.names & *right.names);
      }
      if (!both.names->empty()) out.classes.push_back(std::move(both));
    }
  }
  int64_t n_required = 0;
  int64_t n_possible = 0;
  for (const KeyShape& key : out.keys) {
    n_required += key.required ? 1 : 0;
    n_possible += key.value != kNothing ? 1 : 0;
  }
  if (out.max >= 0 && std::max(n_required, out.min) > out.max) return false;
  return !out.classes.empty() || out.min <= n_possible;
}

ShapeAlgebra::Arrays ShapeAlgebra::complement(const Arrays& a, const std::string& place) const {
  Arrays out = {ArrayShape{}};
  for (const ArrayShape& array : a) out = intersect(out, violations(array, place), place);
  return out;
}

ShapeAlgebra::Objects ShapeAlgebra::complement(const Objects& a, const std::string& place) const {
  Objects out = {ObjectShape::any()};
  for (const ObjectShape& object : a) out = intersect(out, violations(object, place), place);
  return out;
}

ShapeAlgebra::Arrays ShapeAlgebra::violations(const ArrayShape& a, const std::string& place) const {
  Arrays out;
  if (a.unique && (a.max < 0 || a.max > 1)) {
    fail_schema(GrammarFault::unsupported_schema,
                place,
                "the negation of uniqueItems is not enforced here");
  }
  if (a.min > 0) {
    out.emplace_back();
    out.back().max = a.min - 1;
  }
  if (a.max >= 0) {
    out.emplace_back();
    out.back().min = a.max + 1;
  }
  for (const ItemCount& count : a.counts) {
    if (count.min > 0) {
      out.emplace_back();
      out.back().counts.push_back({count.item, 0, count.min - 1, count.place});
    }
    if (count.max >= 0) {
      out.emplace_back();
      out.back().counts.push_back({count.item, count.max + 1, -1, count.place});
      out.back().min = count.max + 1;
    }
  }
  auto n_items = static_cast<int64_t>(a.prefix.size());
  if (a.rest != kAnything && (a.max < 0 || a.max > n_items)) {
    if (a.max < 0 || a.max > kMaxCountedItems) {
      fail_schema(GrammarFault::unsupported_schema,
                  place,
                  fmt::format("the negation of items is not enforced here, but up to maxItems {}",
                              kMaxCountedItems));
    }
    n_items = a.max;
  }
  for (int64_t i = 0; i < n_items; ++i) {
    const Goal goal = item_at(a, static_cast<size_t>(i));
    const size_t at = static_cast<size_t>(i);
    if (goal == kAnything) continue;
    if (goal == kNothing) {  // REQUIRES of intersect: such an item ends the array
      out.emplace_back();
      out.back().min = i + 1;
      break;
    }
    for (const SchemaLiteral& literal : goals_.literals(goal)) {
      ArrayShape array;
      array.prefix.resize(at + 1, kAnything);
      array.prefix[at] = goals_.of({literal.schema, !literal.negative});
      array.min = i + 1;
      out.push_back(std::move(array));
    }
  }
  return out;
}

ShapeAlgebra::Objects ShapeAlgebra::violations(const ObjectShape& a,
                                               const std::string& place) const {
  Objects out;
  const auto with_key = [&](const std::string& name, Goal value, bool required) {
    ObjectShape object = ObjectShape::any();
    object.keys.push_back({name, value, required});
    out.push_back(std::move(object));
  };
  for (const KeyShape& key : a.keys) {
    if (key.required) with_key(key.name, kNothing, false);
    if (key.value == kNothing) with_key(key.name, kAnything, true);
    if (key.value == kAnything || key.value == kNothing) continue;
    for (const SchemaLiteral& literal : goals_.literals(key.value)) {
      with_key(key.name, goals_.of({literal.schema, !literal.negative}), true);
    }
  }
  if (a.min > 0) {
    out.push_back(ObjectShape::any());
    out.back().max = a.min - 1;
  }
  if (a.max >= 0) {
    out.push_back(ObjectShape::any());
    out.back().min = a.max + 1;
  }
  extra_key_violations(out, a, place);
  return out;
}

// Objects with a key that has no entry and whose value is not valid.
void ShapeAlgebra::extra_key_violations(Objects& out,
                                        const ObjectShape& a,
                                        const std::string& place) const {
  TextDfa free = TextDfa::none();
  bool everything = false;
  for (const KeyClass& names : a.classes) {
    if (names.value != kAnything) continue;
    spend_(0);
    everything = everything || names.names->universal();
    free = free | *names.names;
  }
  std::vector<std::string> named;
  for (const KeyShape& key : a.keys) named.push_back(key.name);
  if (everything || (free | TextDfa::of(named)).universal()) return;
  // Without classes any other key will do: there is one where there are more keys than names.
  std::vector<const KeyShape*> optional;
  int64_t n_required = 0;
  for (const KeyShape& key : a.keys) {
    if (key.value == kNothing) continue;
    if (key.required) {
      ++n_required;
    } else {
      optional.push_back(&key);
    }
  }
  if (!a.classes.empty() || optional.size() > kMaxOptionalKeys) {
    fail_schema(GrammarFault::unsupported_schema,
                place,
                "the negation of additionalProperties, patternProperties or propertyNames is not "
                "enforced here");
  }
  for (size_t present = 0; present < size_t{1} << optional.size(); ++present) {
    ObjectShape object = ObjectShape::any();
    object.min = n_required + 1;
    for (const KeyShape& key : a.keys) {
      const auto found = std::find(optional.begin(), optional.end(), &key);
      const bool comes = found != optional.end() ? (present >> (found - optional.begin()) & 1) != 0
                                                 : key.value != kNothing;
      object.keys.push_back({key.name, comes ? kAnything : kNothing, comes});
      if (found != optional.end() && comes) ++object.min;
    }
    out.push_back(std::move(object));
  }
}

}  // namespace qwen3
