// SchemaReader: what the keywords of a JSON Schema mean, as shapes. Every keyword that is not enforced is refused
// by its place; those that say nothing about validity (title, default, unknown ones) are passed over.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/schema_algebra.h"
#include "grammar/schema_document.h"
#include "grammar/schema_shape.h"

namespace qwen3 {

class SchemaReader {
 public:
  // `root` must outlive the reader. `spend` throws where the budget is used up.
  SchemaReader(const Json& root, const JsonSchemaOptions& options, Spend spend);

  Goal root() { return goal_of(document_.root()); }
  // The values to generate: never more than the goal means; less only by what docs/structured-output.md says.
  const Shape& shape(Goal goal) { return evaluate(goal, Mode::generate); }
  const SchemaDocument& document() const { return document_; }
  // Where the goal's first schema stands.
  const std::string& place(Goal goal) const;
  // Certainly no value; in doubt false.
  bool impossible(Goal goal);
  Goal both(Goal a, Goal b) { return goals_.both(a, b); }
  // The values that are not the goal's; none where that is no goal.
  std::optional<Goal> negation(Goal goal);

 private:
  // exact: the meaning itself, as a complement needs it. generate: oneOf may leave out what is closed anyway.
  enum class Mode { exact, generate };
  using Names = std::map<std::string, int64_t>;
  struct Keywords;

  const Shape& evaluate(Goal goal, Mode mode);
  const Shape& evaluate_apart(Goal goal, Mode mode);
  Shape read(SchemaId id, Mode mode);
  Shape read_keywords(SchemaId id, Mode mode);
  Shape constant(SchemaId id);
  Goal goal_of(SchemaId id);
  SchemaId reference(SchemaId from, const Json& value, const char* keyword);

  // A number of the schema, in the digits that were written.
  Decimal decimal(const Json& number, const std::string& place) const;
  // A whole number from 0 on; `fallback` if it is not there.
  int64_t count(const Keywords& schema, const char* keyword, int64_t fallback) const;
  void read_type(Shape& shape, const Keywords& schema) const;
  void read_numbers(Shape& shape, const Keywords& schema) const;
  void read_strings(Shape& shape, const Keywords& schema) const;
  void read_arrays(Shape& shape, const Keywords& schema);
  bool read_contains(ArrayShape& array, const Keywords& schema);
  void read_items(ArrayShape& array, const Keywords& schema);
  void read_objects(Shape& shape, const Keywords& schema);
  void read_properties(ObjectShape& object, const Keywords& schema);
  void read_other_keys(ObjectShape& object, const Keywords& schema);
  void split_classes(std::vector<KeyClass>& matched,
                     std::vector<KeyClass>& unmatched,
                     const TextDfa& names,
                     Goal value);
  void read_property_names(ObjectShape& object, const Keywords& schema);
  void read_required(ObjectShape& object, const Keywords& schema) const;
  void read_values(Shape& shape, const Keywords& schema);
  void read_references(Shape& shape, const Keywords& schema, Mode mode);
  void read_applicators(Shape& shape, const Keywords& schema, Mode mode);
  Shape any_of(const std::vector<Shape>& ways, const std::string& place) const;
  void read_condition(Shape& shape, const Keywords& schema, Mode mode);
  void read_dependencies(Shape& shape, const Keywords& schema, Mode mode);
  void read_dependency(Shape& shape,
                       const Keywords& schema,
                       const std::string& steps,
                       const std::string& key,
                       const Json& value,
                       Mode mode);

  // schema_unevaluated.cpp
  void read_unevaluated(Shape& shape, const Keywords& schema);
  bool hold_unevaluated(ObjectShape& object, Goal goal);
  bool hold_unevaluated(ArrayShape& array, Goal goal);

  // oneOf (schema_one_of.cpp).
  struct Alternative {
    SchemaId schema;
    Shape exact;
    Shape generated;
  };
  Shape read_one_of(const Keywords& schema, Mode mode);
  ShapeAlgebra::Objects one_of_objects(const std::vector<Alternative>& ways,
                                       const Keywords& schema,
                                       Mode mode);
  ShapeAlgebra::Arrays one_of_arrays(const std::vector<Alternative>& ways,
                                     const std::string& place);
  ShapeAlgebra::Objects closed(const ShapeAlgebra::Objects& objects, const Names& allowed) const;
  void count_names(Names& names, SchemaId id, int64_t times, std::vector<SchemaId>& path);

  SchemaDocument document_;
  JsonSchemaOptions options_;
  Spend spend_;
  GoalTable goals_;
  ShapeAlgebra algebra_;
  std::map<std::pair<Goal, Mode>, Shape> shapes_;
  std::vector<SchemaId> reading_;  // in place: a schema in it refers to itself
  std::vector<Goal> evaluating_;   // innermost last
  bool modes_differ_ = false;      // somewhere in what is being evaluated
};

// One schema object and its place.
struct SchemaReader::Keywords {
  SchemaId id;
  const Json& json;
  const std::string place;
  SchemaDialect dialect;

  const Json* find(const char* keyword) const {
    const auto found = json.find(keyword);
    return found == json.end() ? nullptr : &*found;
  }
  const Json* find(const char* keyword, SchemaDialect since) const {
    return dialect >= since ? find(keyword) : nullptr;
  }
  std::string at(std::string_view keyword) const { return place + "/" + std::string(keyword); }
  [[noreturn]] void invalid(std::string_view keyword, const std::string& expected) const;
  [[noreturn]] void unsupported(std::string_view keyword, const std::string& why) const;
};

}  // namespace qwen3
