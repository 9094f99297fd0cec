// Shape: the values that a schema allows, type by type. What JSON Schema says by keywords that apply to one type
// each, and combines by allOf, anyOf, not, is set algebra on shapes (schema_algebra.h).
//
//   {"minLength": 1, "anyOf": [{"type": "string"}, {"required": ["a"]}]}
//     strings of 1 and more | null, booleans, numbers, arrays | objects with "a"
//
// The values of an object and the items of an array are Goals: conjunctions of schemas that nobody has read yet.
// There are finitely many, so a schema that refers to itself ends as finitely many shapes.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grammar/schema_document.h"
#include "grammar/schema_format.h"
#include "grammar/schema_number.h"
#include "grammar/text_dfa.h"

namespace qwen3 {

// A schema, or the values that are not valid against it.
struct SchemaLiteral {
  SchemaId schema = 0;
  bool negative = false;
  friend auto operator<=>(const SchemaLiteral&, const SchemaLiteral&) = default;
};

using Goal = int32_t;  // of a GoalTable
inline constexpr Goal kAnything = 0;
inline constexpr Goal kNothing = 1;

class GoalTable {
 public:
  GoalTable();
  // Throws GrammarError{too_complex} beyond 50,000 goals.
  Goal of(SchemaLiteral literal) { return intern({literal}); }
  Goal both(Goal a, Goal b);
  // What has to hold together: none for kAnything. REQUIRES: not kNothing.
  const std::vector<SchemaLiteral>& literals(Goal goal) const {
    return literals_[static_cast<size_t>(goal)];
  }
  int64_t size() const { return static_cast<int64_t>(literals_.size()); }

 private:
  Goal intern(std::vector<SchemaLiteral> literals);

  std::vector<std::vector<SchemaLiteral>> literals_;
  std::map<std::vector<SchemaLiteral>, Goal> goals_;
};

// A union of sets of texts, each with bounds of its length in code points: lengths are counted by the grammar
// and need no states.
struct SizedTexts {
  TextSetPtr set;
  int64_t min = 0;
  int64_t max = -1;  // no limit
};
// Called between steps that may take long, with the bytes that were kept; throws where the budget is used up.
using Spend = std::function<void(int64_t)>;

class TextUnion {
 public:
  static TextUnion none() { return {}; }
  static TextUnion all();
  static TextUnion of(SizedTexts part);

  TextUnion intersect(const TextUnion& other, const Spend& spend) const;
  TextUnion unite(const TextUnion& other, const Spend& spend) const;
  TextUnion complement(const Spend& spend) const;
  bool empty() const { return parts_.empty(); }
  bool universal() const;
  TextDfa automaton() const;  // lengths become states
  const std::vector<SizedTexts>& parts() const { return parts_; }

 private:
  void add(SizedTexts part);       // too_complex beyond kMaxSchemaBranches parts
  std::vector<SizedTexts> parts_;  // none is empty
};

// How many items of an array are valid against a schema: contains.
struct ItemCount {
  Goal item = kAnything;  // neither kAnything nor kNothing
  int64_t min = 0;
  int64_t max = -1;
  std::string place;  // for errors
  friend bool operator==(const ItemCount&, const ItemCount&) = default;
};

struct ArrayShape {
  std::vector<Goal> prefix;  // of the first items
  Goal rest = kAnything;     // of each other
  int64_t min = 0;
  int64_t max = -1;
  std::vector<ItemCount> counts;  // none of one schema twice
  bool unique = false;
  std::string unique_place;  // of uniqueItems, for errors
  // What unevaluatedItems leaves alone: the first items, or all.
  int64_t n_evaluated = 0;
  bool evaluates_all = false;

  // Brings it into order: no more prefix than items. False: it has no value.
  bool settle();
  friend bool operator==(const ArrayShape&, const ArrayShape&) = default;
};

struct KeyShape {
  std::string name;
  Goal value = kAnything;  // kNothing: the key must not come
  bool required = false;
  bool declared = false;   // in `properties`
  bool asked_for = false;  // in `required`: may come though it is not declared
  bool evaluated = false;  // unevaluatedProperties leaves it alone
  friend bool operator==(const KeyShape&, const KeyShape&) = default;
};

struct KeyClass {
  TextSetPtr names;
  Goal value = kAnything;
  friend bool operator==(const KeyClass&, const KeyClass&) = default;
};

struct ObjectShape {
  std::vector<KeyShape> keys;  // in the order in which they are to come
  std::vector<KeyClass>
      classes;  // disjoint; of all other keys (they may hold a name of `keys`). Rest: none
  int64_t min = 0;
  int64_t max = -1;
  bool has_properties = false;  // closed if nothing says_others
  bool says_others = false;
  // What unevaluatedProperties leaves alone besides: names of these sets, or all.
  std::vector<TextSetPtr> evaluated;
  bool evaluates_all = false;

  static ObjectShape any();
  const KeyShape* find(const std::string& name) const;
  // What a key without an entry in `keys` has to be.
  Goal class_value(const std::string& name) const;
  friend bool operator==(const ObjectShape&, const ObjectShape&) = default;
};

struct Shape {
  bool null = false;
  bool no = false;   // false
  bool yes = false;  // true
  NumberSet numbers = NumberSet::none();
  TextUnion strings;
  std::vector<ArrayShape> arrays;    // a union
  std::vector<ObjectShape> objects;  // a union

  static Shape any();
  bool scalar() const { return arrays.empty() && objects.empty(); }
  bool empty() const;
  int64_t bytes() const;  // of the automata that nothing else holds
};

}  // namespace qwen3
