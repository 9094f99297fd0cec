// References, combinations and conditions; the keywords of one type each are in schema_keywords.cpp.
#include "grammar/schema_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "grammar/schema_uri.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxInPlace = 200;    // schemas within schemas that speak of the same value
constexpr size_t kMaxEvaluating = 12;  // goals looked into to decide about one
constexpr size_t kMaxLookahead = 4;

template <typename T>
class PopAtEnd {
 public:
  PopAtEnd(std::vector<T>& stack, T value) : stack_(stack) { stack_.push_back(value); }
  ~PopAtEnd() { stack_.pop_back(); }
  PopAtEnd(const PopAtEnd&) = delete;

 private:
  std::vector<T>& stack_;
};

}  // namespace

SchemaReader::SchemaReader(const Json& root, const JsonSchemaOptions& options, Spend spend)
    : document_(root),
      options_(options),
      spend_(std::move(spend)),
      algebra_(
          goals_,
          [this](Goal goal) { return impossible(goal); },
          [this](int64_t bytes) { spend_(bytes); }) {}

const std::string& SchemaReader::place(Goal goal) const {
  static const std::string nowhere;
  if (goal == kNothing || goals_.literals(goal).empty()) return nowhere;
  return document_.node(goals_.literals(goal)[0].schema).place;
}

std::optional<Goal> SchemaReader::negation(Goal goal) {
  if (goal == kNothing) return kAnything;
  if (goal == kAnything) return kNothing;
  const std::vector<SchemaLiteral>& literals = goals_.literals(goal);
  if (literals.size() != 1) return std::nullopt;
  return goals_.of({literals[0].schema, !literals[0].negative});
}

bool SchemaReader::impossible(Goal goal) {
  if (goal == kNothing) return true;
  if (goal == kAnything || evaluating_.size() >= kMaxLookahead) return false;
  if (std::find(evaluating_.begin(), evaluating_.end(), goal) != evaluating_.end()) return false;
  try {
    return evaluate_apart(goal, Mode::exact).empty();
  } catch (const GrammarError& e) {
    if (e.fault() == GrammarFault::unsupported_schema) return false;  // told where it is needed
    throw;
  }
}

// In the middle of another evaluation, of another value: what is being read there may be read here too.
const Shape& SchemaReader::evaluate_apart(Goal goal, Mode mode) {
  struct Restore {
    SchemaReader& reader;
    std::vector<SchemaId> reading;
    bool modes_differ;
    ~Restore() {
      reader.reading_.swap(reading);
      reader.modes_differ_ = modes_differ;
    }
  };
  const Restore restore = {*this, std::exchange(reading_, {}), modes_differ_};
  return evaluate(goal, mode);
}

const Shape& SchemaReader::evaluate(Goal goal, Mode mode) {
  const auto found = shapes_.find({goal, mode});
  if (found != shapes_.end()) return found->second;
  if (evaluating_.size() >= kMaxEvaluating) {
    fail_schema(GrammarFault::too_complex, place(goal), "too deeply entangled");
  }
  spend_(0);
  const PopAtEnd<Goal> guard(evaluating_, goal);
  const bool outer_differs = std::exchange(modes_differ_, false);
  Shape shape;
  if (goal != kNothing) {
    shape = Shape::any();
    for (const SchemaLiteral& literal : std::vector(goals_.literals(goal))) {
      const std::string& at = document_.node(literal.schema).place;
      const Shape one = literal.negative
                            ? algebra_.complement(read(literal.schema, Mode::exact), at)
                            : read(literal.schema, mode);
      shape = algebra_.intersect(shape, one, at);
    }
  }
  if (!modes_differ_)
    shapes_.emplace(std::pair(goal, mode == Mode::exact ? Mode::generate : Mode::exact), shape);
  modes_differ_ |= outer_differs;
  return shapes_.emplace(std::pair(goal, mode), std::move(shape)).first->second;
}

// A schema that only refers to another is that other one.
Goal SchemaReader::goal_of(SchemaId id) {
  for (size_t hops = 0; hops < kMaxInPlace; ++hops) {
    const SchemaNode node = document_.node(id);
    if (node.constant) break;
    if (node.json->is_boolean()) return node.json->get<bool>() ? kAnything : kNothing;
    if (!node.json->is_object() || node.json->empty()) break;
    const auto ref = node.json->find("$ref");
    const bool alone = node.json->size() == 1 || node.dialect < SchemaDialect::draft2019;
    if (ref == node.json->end() || !alone) break;
    id = reference(id, *ref, "$ref");
  }
  const SchemaNode& node = document_.node(id);
  if (!node.constant && node.json->is_object() && node.json->empty()) return kAnything;
  return goals_.of({id, false});
}

SchemaId SchemaReader::reference(SchemaId from, const Json& value, const char* keyword) {
  if (!value.is_string()) {
    fail_schema(GrammarFault::invalid_schema,
                fmt::format("{}/{}", document_.node(from).place, keyword),
                "expected a string");
  }
  return document_.target(from, value.get<std::string>(), keyword);
}

Shape SchemaReader::read(SchemaId id, Mode mode) {
  const SchemaNode node = document_.node(id);
  if (node.constant) return constant(id);
  if (node.json->is_boolean()) return node.json->get<bool>() ? Shape::any() : Shape{};
  if (!node.json->is_object()) {
    fail_schema(
        GrammarFault::invalid_schema, node.place, "expected a schema: an object, true or false");
  }
  if (std::find(reading_.begin(), reading_.end(), id) != reading_.end()) {
    fail_schema(GrammarFault::invalid_schema,
                node.place,
                "refers to itself with no property or item in between");
  }
  if (reading_.size() >= kMaxInPlace) {
    fail_schema(
        GrammarFault::too_complex, node.place, "too many schemas of one value within each other");
  }
  const PopAtEnd<SchemaId> guard(reading_, id);
  spend_(0);
  const auto ref = node.json->find("$ref");
  if (ref != node.json->end() && node.dialect < SchemaDialect::draft2019) {
    return read(reference(id, *ref, "$ref"), mode);
  }
  try {
    return read_keywords(id, mode);
  } catch (const GrammarError& e) {  // of an automaton, which knows no place
    if (!e.place().empty() || node.place.empty()) throw;
    throw GrammarError(e.fault(), node.place, e.what());
  }
}

Shape SchemaReader::read_keywords(SchemaId id, Mode mode) {
  const SchemaNode node = document_.node(id);
  const Keywords schema = {id, *node.json, node.place, node.dialect};
  Shape shape = Shape::any();
  read_type(shape, schema);
  if (!shape.numbers.empty()) read_numbers(shape, schema);
  if (!shape.strings.empty()) read_strings(shape, schema);
  if (!shape.arrays.empty()) read_arrays(shape, schema);
  if (!shape.objects.empty()) read_objects(shape, schema);
  read_values(shape, schema);
  read_references(shape, schema, mode);
  read_applicators(shape, schema, mode);
  read_condition(shape, schema, mode);
  if (!shape.objects.empty()) read_dependencies(shape, schema, mode);
  read_unevaluated(shape, schema);
  return shape;
}

// A `$dynamicRef` whose anchor is the document's only one of that name can lead nowhere else: a plain reference.
void SchemaReader::read_references(Shape& shape, const Keywords& schema, Mode mode) {
  if (const Json* ref = schema.find("$ref")) {
    const Shape target = read(reference(schema.id, *ref, "$ref"), mode);
    shape = algebra_.intersect(shape, target, schema.at("$ref"));
  }
  if (schema.dialect == SchemaDialect::draft2019) {
    if (const Json* ref = schema.find("$recursiveRef")) {
      if (document_.n_dynamic_anchors("") > 0) {
        schema.unsupported("$recursiveRef", "not enforced here beside $recursiveAnchor");
      }
      const Shape target = read(reference(schema.id, *ref, "$recursiveRef"), mode);
      shape = algebra_.intersect(shape, target, schema.at("$recursiveRef"));
    }
  }
  if (const Json* ref = schema.find("$dynamicRef", SchemaDialect::draft2020)) {
    if (!ref->is_string()) schema.invalid("$dynamicRef", "a string");
    const std::string name(split_fragment(ref->get_ref<const std::string&>()).fragment);
    if (document_.n_dynamic_anchors(name) > 1) {
      schema.unsupported("$dynamicRef", "not enforced here where several schemas have that anchor");
    }
    const Shape target = read(reference(schema.id, *ref, "$dynamicRef"), mode);
    shape = algebra_.intersect(shape, target, schema.at("$dynamicRef"));
  }
}

void SchemaReader::read_applicators(Shape& shape, const Keywords& schema, Mode mode) {
  const auto branches = [&](const char* keyword, const auto& each) {
    const Json* list = schema.find(keyword);
    if (list == nullptr) return false;
    if (!list->is_array() || list->empty()) schema.invalid(keyword, "a list of schemas");
    for (size_t i = 0; i < list->size(); ++i) {
      each(document_.subschema(schema.id, (*list)[i], fmt::format("/{}/{}", keyword, i)));
    }
    return true;
  };
  branches("allOf", [&](SchemaId id) {
    shape = algebra_.intersect(shape, read(id, mode), document_.node(id).place);
  });
  std::vector<Shape> ways;
  if (branches("anyOf", [&](SchemaId id) { ways.push_back(read(id, mode)); })) {
    shape = algebra_.intersect(shape, any_of(ways, schema.at("anyOf")), schema.at("anyOf"));
  }
  if (schema.find("oneOf") != nullptr) {
    shape = algebra_.intersect(shape, read_one_of(schema, mode), schema.at("oneOf"));
  }
  if (const Json* negated = schema.find("not")) {
    const SchemaId id = document_.subschema(schema.id, *negated, "/not");
    const Shape others = algebra_.complement(read(id, Mode::exact), schema.at("not"));
    shape = algebra_.intersect(shape, others, schema.at("not"));
  }
}

// Where it matters what was looked at, the ways together are ways of their own: more of them look at more.
Shape SchemaReader::any_of(const std::vector<Shape>& ways, const std::string& place) const {
  constexpr size_t kMaxTogether = 4;
  Shape any;
  for (const Shape& way : ways) any = algebra_.unite(any, way);
  if (!document_.has_unevaluated() || ways.size() > kMaxTogether) return any;
  for (size_t subset = 1; subset < size_t{1} << ways.size(); ++subset) {
    Shape all = Shape::any();
    for (size_t i = 0; i < ways.size(); ++i) {
      if ((subset >> i & 1) != 0) all = algebra_.intersect(all, ways[i], place);
    }
    any = algebra_.unite(any, all);
  }
  return any;
}

void SchemaReader::read_condition(Shape& shape, const Keywords& schema, Mode mode) {
  const Json* condition = schema.find("if", SchemaDialect::draft7);
  const Json* then = schema.find("then");
  const Json* otherwise = schema.find("else");
  if (condition == nullptr) return;
  if (then == nullptr && otherwise == nullptr && !document_.has_unevaluated()) return;
  const std::string place = schema.at("if");
  const Shape holds = read(document_.subschema(schema.id, *condition, "/if"), Mode::exact);
  Shape if_so = holds;
  Shape if_not = algebra_.complement(holds, place);
  if (then != nullptr) {
    const Shape more = read(document_.subschema(schema.id, *then, "/then"), mode);
    if_so = algebra_.intersect(if_so, more, schema.at("then"));
  }
  if (otherwise != nullptr) {
    const Shape more = read(document_.subschema(schema.id, *otherwise, "/else"), mode);
    if_not = algebra_.intersect(if_not, more, schema.at("else"));
  }
  shape = algebra_.intersect(shape, algebra_.unite(if_so, if_not), place);
}

void SchemaReader::read_dependencies(Shape& shape, const Keywords& schema, Mode mode) {
  const auto read_all = [&](const char* keyword, SchemaDialect since) {
    const Json* all = schema.find(keyword, since);
    if (all == nullptr) return;
    if (!all->is_object()) schema.invalid(keyword, "an object");
    for (const auto& item : all->items()) {
      const std::string steps = fmt::format("/{}{}", keyword, pointer_step(item.key()));
      read_dependency(shape, schema, steps, item.key(), item.value(), mode);
    }
  };
  read_all("dependencies", SchemaDialect::draft4);
  read_all("dependentRequired", SchemaDialect::draft2019);
  read_all("dependentSchemas", SchemaDialect::draft2019);
}

// Either the key does not come, or it comes and the rest holds.
void SchemaReader::read_dependency(Shape& shape,
                                   const Keywords& schema,
                                   const std::string& steps,
                                   const std::string& key,
                                   const Json& value,
                                   Mode mode) {
  ObjectShape absent = ObjectShape::any();
  absent.keys.push_back({key, kNothing});
  ObjectShape present = ObjectShape::any();
  present.keys.push_back({key, kAnything, true});
  Shape needed = Shape::any();
  if (value.is_array()) {
    for (const Json& name : value) {
      if (!name.is_string()) schema.invalid(steps.substr(1), "names");
      if (name == key) continue;
      present.keys.push_back({name.get<std::string>(), kAnything, true, false, true});
    }
  } else {
    needed = read(document_.subschema(schema.id, value, steps), mode);
  }
  const std::string place = schema.place + steps;
  ShapeAlgebra::Objects ways = algebra_.intersect({present}, needed.objects, place);
  ways.insert(ways.begin(), absent);
  shape.objects = algebra_.intersect(shape.objects, ways, place);
}

}  // namespace qwen3
