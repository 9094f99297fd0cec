// oneOf: exactly one of the alternatives. Scalars are counted exactly. For arrays and objects, two alternatives
// that have nothing in common need nothing; otherwise the value must not be valid against the others as well.
#include <algorithm>

#include "grammar/schema_reader.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxAlternatives = 1000;

// The union of what is in one set and in no other.
template <typename Set, typename Algebra>
Set exactly_one(const std::vector<Set>& sets, const Algebra& algebra) {
  Set once = Set::none();
  Set some = Set::none();
  for (const Set& set : sets) {
    if (set.empty()) continue;
    const Set twice = algebra.both(some, set);
    if (twice.empty()) {
      once = algebra.either(once, set);
    } else {
      once = algebra.both(algebra.either(once, set), algebra.others(twice));
    }
    some = algebra.either(some, set);
  }
  return once;
}

struct NumberAlgebra {
  const Spend& spend;
  NumberSet both(const NumberSet& a, const NumberSet& b) const { return spend(0), a & b; }
  NumberSet either(const NumberSet& a, const NumberSet& b) const { return spend(0), a | b; }
  NumberSet others(const NumberSet& a) const { return spend(0), a.complement(); }
};

struct StringAlgebra {
  const Spend& spend;
  TextUnion both(const TextUnion& a, const TextUnion& b) const { return a.intersect(b, spend); }
  TextUnion either(const TextUnion& a, const TextUnion& b) const { return a.unite(b, spend); }
  TextUnion others(const TextUnion& a) const { return a.complement(spend); }
};

}  // namespace

Shape SchemaReader::read_one_of(const Keywords& schema, Mode mode) {
  const Json* list = schema.find("oneOf");
  if (!list->is_array() || list->empty()) schema.invalid("oneOf", "a list of schemas");
  if (list->size() > kMaxAlternatives) {
    fail_schema(GrammarFault::too_complex, schema.at("oneOf"), "more than 1,000 alternatives");
  }
  std::vector<Alternative> ways;
  for (size_t i = 0; i < list->size(); ++i) {
    const SchemaId id = document_.subschema(schema.id, (*list)[i], "/oneOf/" + std::to_string(i));
    const bool outer_differs = std::exchange(modes_differ_, false);
    Shape exact = read(id, Mode::exact);
    Shape generated = modes_differ_ && mode == Mode::generate ? read(id, mode) : exact;
    modes_differ_ |= outer_differs;
    ways.push_back({id, std::move(exact), std::move(generated)});
  }
  if (ways.size() == 1) return ways[0].generated;
  Shape out;
  std::vector<NumberSet> numbers;
  std::vector<TextUnion> strings;
  int n_null = 0;
  int n_no = 0;
  int n_yes = 0;
  for (const Alternative& way : ways) {
    n_null += way.exact.null;
    n_no += way.exact.no;
    n_yes += way.exact.yes;
    numbers.push_back(way.exact.numbers);
    strings.push_back(way.exact.strings);
  }
  out.null = n_null == 1;
  out.no = n_no == 1;
  out.yes = n_yes == 1;
  out.numbers = exactly_one(numbers, NumberAlgebra{spend_});
  out.strings = exactly_one(strings, StringAlgebra{spend_});
  out.arrays = one_of_arrays(ways, schema.at("oneOf"));
  out.objects = one_of_objects(ways, schema, mode);
  return out;
}

ShapeAlgebra::Arrays SchemaReader::one_of_arrays(const std::vector<Alternative>& ways,
                                                 const std::string& place) {
  ShapeAlgebra::Arrays out;
  for (size_t i = 0; i < ways.size(); ++i) {
    ShapeAlgebra::Arrays mine = ways[i].generated.arrays;
    for (size_t j = 0; j < ways.size() && !mine.empty(); ++j) {
      const ShapeAlgebra::Arrays& others = ways[j].exact.arrays;
      if (i == j || algebra_.intersect(mine, others, place).empty()) continue;
      mine = algebra_.intersect(mine, algebra_.complement(others, place), place);
    }
    out.insert(out.end(), mine.begin(), mine.end());
  }
  return out;
}

// An alternative that overlaps with another one only in objects that would be closed anyway is closed first.
ShapeAlgebra::Objects SchemaReader::one_of_objects(const std::vector<Alternative>& ways,
                                                   const Keywords& schema,
                                                   Mode mode) {
  const std::string place = schema.at("oneOf");
  const bool may_close = !options_.open_objects && schema.find("additionalProperties") == nullptr &&
                         schema.find("patternProperties") == nullptr;
  ShapeAlgebra::Objects out;
  for (size_t i = 0; i < ways.size(); ++i) {
    ShapeAlgebra::Objects mine = ways[i].generated.objects;
    for (size_t j = 0; j < ways.size() && !mine.empty(); ++j) {
      const ShapeAlgebra::Objects& others = ways[j].exact.objects;
      if (i == j || algebra_.intersect(mine, others, place).empty()) continue;
      modes_differ_ = true;
      if (may_close && mode == Mode::generate) {
        Names allowed;
        std::vector<SchemaId> path;
        for (const SchemaLiteral& literal : std::vector(goals_.literals(evaluating_.back()))) {
          count_names(allowed, literal.schema, 1, path);
        }
        for (const Alternative& way : ways) count_names(allowed, way.schema, -1, path);
        count_names(allowed, ways[i].schema, 1, path);
        const ShapeAlgebra::Objects shut = closed(mine, allowed);
        if (algebra_.intersect(shut, others, place).empty()) {
          mine = shut;
          continue;
        }
      }
      mine = algebra_.intersect(mine, algebra_.complement(others, place), place);
    }
    out.insert(out.end(), mine.begin(), mine.end());
  }
  return out;
}

// Of the objects that would be closed: no keys but their own and those allowed.
ShapeAlgebra::Objects SchemaReader::closed(const ShapeAlgebra::Objects& objects,
                                           const Names& allowed) const {
  std::vector<std::string> names;
  for (const auto& [name, times] : allowed) {
    if (times > 0) names.push_back(name);
  }
  const auto only = std::make_shared<const TextDfa>(TextDfa::of(names));
  ShapeAlgebra::Objects out = objects;
  for (ObjectShape& object : out) {
    if (!object.has_properties || object.says_others) continue;
    std::vector<KeyClass> kept;
    for (const KeyClass& names_of : object.classes) {
      const auto both = names_of.names->universal()
                            ? only
                            : std::make_shared<const TextDfa>(*names_of.names & *only);
      if (!both->empty()) kept.push_back({both, names_of.value});
    }
    object.classes = std::move(kept);
  }
  return out;
}

// The names that the schema, or another of the same value within it, gives to properties.
void SchemaReader::count_names(Names& names,
                               SchemaId id,
                               int64_t times,
                               std::vector<SchemaId>& path) {
  const SchemaNode node = document_.node(id);
  if (node.constant || !node.json->is_object() || path.size() > 32 ||
      std::find(path.begin(), path.end(), id) != path.end()) {
    return;
  }
  spend_(0);
  path.push_back(id);
  const auto follow = [&](const Json& json, const std::string& steps) {
    count_names(names, document_.subschema(id, json, steps), times, path);
  };
  for (const auto& item : node.json->items()) {
    const std::string& keyword = item.key();
    const Json& value = item.value();
    if (keyword == "properties" && value.is_object()) {
      for (const auto& property : value.items()) names[property.key()] += times;
    } else if (keyword == "required" && value.is_array()) {
      for (const Json& name : value) {
        if (name.is_string()) names[name.get<std::string>()] += times;
      }
    } else if (keyword == "$ref") {
      count_names(names, reference(id, value, "$ref"), times, path);
    } else if (keyword == "if" || keyword == "then" || keyword == "else") {
      follow(value, "/" + keyword);
    } else if ((keyword == "allOf" || keyword == "anyOf" || keyword == "oneOf") &&
               value.is_array()) {
      for (size_t i = 0; i < value.size(); ++i) {
        follow(value[i], "/" + keyword + "/" + std::to_string(i));
      }
    }
  }
  path.pop_back();
}

}  // namespace qwen3
