#include "grammar/schema_shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "grammar/limits.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxMergedStates =
    kMaxDfaStates / 2;                        // larger parts stay apart: long enumerations
constexpr int64_t kMaxLengthSteps = 1 << 20;  // beyond, a text of the length is assumed to exist

TextSetPtr all_texts() {
  static const TextSetPtr all = std::make_shared<const TextDfa>(TextDfa::all());
  return all;
}

int64_t smaller_maximum(int64_t a, int64_t b) {
  if (a < 0) return b;
  return b < 0 ? a : std::min(a, b);
}

// Whether the set has a text of min to max code points; in doubt it has.
bool has_length(const TextDfa& set, int64_t min, int64_t max) {
  const auto& states = set.states();
  if (states.empty() || set.empty() || (max >= 0 && min > max)) return false;
  if (min <= 0 && max < 0) return true;
  if (set.universal()) return true;
  const auto n_states = static_cast<int64_t>(states.size());
  if (max < 0 && !set.finite()) return true;
  if (max < 0) max = n_states;
  std::vector<char> reached(states.size());
  reached[0] = 1;
  for (int64_t length = 0; length <= max; ++length) {
    if (length * n_states > kMaxLengthSteps) return true;
    std::vector<char> next(states.size());
    bool any = false;
    for (size_t i = 0; i < states.size(); ++i) {
      if (!reached[i]) continue;
      if (length >= min && states[i].accepts) return true;
      for (const TextDfa::Edge& edge : states[i].edges) {
        next[static_cast<size_t>(edge.to)] = 1;
        any = true;
      }
    }
    if (!any) return false;
    reached = std::move(next);
  }
  return false;
}

}  // namespace

GoalTable::GoalTable() {
  intern({});
  literals_.emplace_back();  // kNothing, which no list of schemas stands for
}

Goal GoalTable::both(Goal a, Goal b) {
  if (a == kNothing || b == kNothing) return kNothing;
  if (a == kAnything || a == b) return b;
  if (b == kAnything) return a;
  std::vector<SchemaLiteral> together;
  std::set_union(literals(a).begin(),
                 literals(a).end(),
                 literals(b).begin(),
                 literals(b).end(),
                 std::back_inserter(together));
  for (size_t i = 0; i + 1 < together.size(); ++i) {
    if (together[i].schema == together[i + 1].schema) return kNothing;  // it and its negation
  }
  return intern(std::move(together));
}

Goal GoalTable::intern(std::vector<SchemaLiteral> literals) {
  const auto found = goals_.find(literals);
  if (found != goals_.end()) return found->second;
  if (size() >= kMaxSchemaNodes) {
    fail_schema(GrammarFault::too_complex,
                "",
                fmt::format("more than {} different combinations of its parts", kMaxSchemaNodes));
  }
  const auto goal = static_cast<Goal>(size());
  literals_.push_back(literals);
  goals_.emplace(std::move(literals), goal);
  return goal;
}

TextUnion TextUnion::all() { return of({all_texts()}); }

TextUnion TextUnion::of(SizedTexts part) {
  TextUnion out;
  out.add(std::move(part));
  return out;
}

void TextUnion::add(SizedTexts part) {
  if (part.min < 0) part.min = 0;
  if (!has_length(*part.set, part.min, part.max)) return;
  for (SizedTexts& known : parts_) {
    if (known.min != part.min || known.max != part.max) continue;
    const size_t n_states = known.set->states().size() + part.set->states().size();
    if (n_states > kMaxMergedStates && known.set != part.set) continue;
    if (known.set != part.set) known.set = std::make_shared<const TextDfa>(*known.set | *part.set);
    return;
  }
  if (universal()) return;
  if (part.min == 0 && part.max < 0 && part.set->universal()) parts_.clear();
  parts_.push_back(std::move(part));
  if (static_cast<int64_t>(parts_.size()) > kMaxSchemaBranches) {
    fail_schema(GrammarFault::too_complex, "", "too many alternatives of strings");
  }
}

TextUnion TextUnion::intersect(const TextUnion& other, const Spend& spend) const {
  if (universal()) return other;
  if (other.universal()) return *this;
  TextUnion out;
  for (const SizedTexts& a : parts_) {
    for (const SizedTexts& b : other.parts_) {
      SizedTexts both = {a.set, std::max(a.min, b.min), smaller_maximum(a.max, b.max)};
      if (a.set->universal()) {
        both.set = b.set;
      } else if (!b.set->universal() && a.set != b.set) {
        both.set = std::make_shared<const TextDfa>(*a.set & *b.set);
      }
      out.add(std::move(both));
      spend(0);
    }
  }
  return out;
}

TextUnion TextUnion::unite(const TextUnion& other, const Spend& spend) const {
  TextUnion out = *this;
  for (const SizedTexts& part : other.parts_) {
    out.add(part);
    spend(0);
  }
  return out;
}

TextUnion TextUnion::complement(const Spend& spend) const {
  TextUnion out = all();
  for (const SizedTexts& part : parts_) {
    TextUnion others;
    if (!part.set->universal()) {
      others.add({std::make_shared<const TextDfa>(part.set->complement())});
    }
    if (part.min > 0) others.add({all_texts(), 0, part.min - 1});
    if (part.max >= 0) others.add({all_texts(), part.max + 1, -1});
    out = out.intersect(others, spend);
  }
  return out;
}

bool TextUnion::universal() const {
  return parts_.size() == 1 && parts_[0].min == 0 && parts_[0].max < 0 &&
         parts_[0].set->universal();
}

TextDfa TextUnion::automaton() const {
  TextDfa out = TextDfa::none();
  for (const SizedTexts& part : parts_) {
    const bool counted = part.min > 0 || part.max >= 0;
    const TextDfa texts = counted ? *part.set & TextDfa::length(part.min, part.max) : *part.set;
    out = out | texts;
  }
  return out;
}

bool ArrayShape::settle() {
  for (const ItemCount& count : counts) {
    if (count.max >= 0 && count.min > count.max) return false;
    min = std::max(min, count.min);
  }
  const auto n_prefix = static_cast<int64_t>(prefix.size());
  for (int64_t i = 0; i <= n_prefix && (max < 0 || max > i); ++i) {
    if ((i < n_prefix ? prefix[static_cast<size_t>(i)] : rest) == kNothing) max = i;
  }
  if (max >= 0 && n_prefix > max) prefix.resize(static_cast<size_t>(max));
  if (max >= 0 && static_cast<int64_t>(prefix.size()) == max) rest = kAnything;
  return max < 0 || min <= max;
}

ObjectShape ObjectShape::any() {
  ObjectShape shape;
  shape.classes.push_back({all_texts(), kAnything});
  return shape;
}

const KeyShape* ObjectShape::find(const std::string& name) const {
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const KeyShape& k) { return k.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

Goal ObjectShape::class_value(const std::string& name) const {
  for (const KeyClass& others : classes) {
    if (others.names->universal() || others.names->contains(name)) return others.value;
  }
  return kNothing;
}

Shape Shape::any() {
  Shape shape;
  shape.null = shape.no = shape.yes = true;
  shape.numbers = NumberSet::all();
  shape.strings = TextUnion::all();
  shape.arrays.emplace_back();
  shape.objects.push_back(ObjectShape::any());
  return shape;
}

int64_t Shape::bytes() const {
  int64_t bytes = static_cast<int64_t>(sizeof(Shape));
  const auto add = [&](const TextSetPtr& set) {
    if (set.use_count() > 1) return;
    for (const TextDfa::State& state : set->states()) {
      bytes += static_cast<int64_t>(sizeof(state) + state.edges.size() * sizeof(TextDfa::Edge));
    }
  };
  for (const SizedTexts& part : strings.parts()) add(part.set);
  for (const ArrayShape& array : arrays) {
    bytes += static_cast<int64_t>(sizeof(array) + array.prefix.size() * sizeof(Goal));
  }
  for (const ObjectShape& object : objects) {
    bytes += static_cast<int64_t>(sizeof(object));
    for (const KeyShape& key : object.keys) {
      bytes += static_cast<int64_t>(sizeof(key) + key.name.size());
    }
    for (const KeyClass& others : object.classes) add(others.names);
  }
  return bytes;
}

bool Shape::empty() const {
  return !null && !no && !yes && numbers.empty() && strings.empty() && arrays.empty() &&
         objects.empty();
}

}  // namespace qwen3
