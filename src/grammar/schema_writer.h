// SchemaWriter: shapes as expressions of a grammar. A goal is a rule, so what refers to itself ends.
#pragma once

#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "grammar/grammar_builder.h"
#include "grammar/json_text.h"
#include "grammar/schema.h"
#include "grammar/schema_reader.h"

namespace qwen3 {

class SchemaWriter {
 public:
  using Expr = GrammarBuilder::Expr;

  SchemaWriter(GrammarBuilder& builder, SchemaReader& reader, const JsonSchemaOptions& options)
      : builder_(builder), reader_(reader), text_(builder, options), options_(options) {}

  Expr value(Goal goal);
  // An object's members one by one; none if it has no value.
  std::optional<SchemaObject> members(const ObjectShape& object);
  // Writes the rules that expressions so far call. Call it last.
  void finish();

 private:
  using Rule = GrammarBuilder::Rule;
  // What of an object may be written: keys in order, closed if it is.
  struct Members {
    std::vector<KeyShape> keys;
    std::vector<std::pair<TextDfa, Goal>> others;
    int64_t min = 0;
    int64_t max = -1;
  };

  void add_scalars(std::vector<Expr>& ways, const Shape& shape);
  Expr numbers(const NumberSet& numbers);
  Expr strings(const TextUnion& strings);
  Expr as_rule(Expr expr);
  Expr array(const ArrayShape& array);
  Expr unique_array(const ArrayShape& array);
  Expr counted_array(const ArrayShape& array);
  Expr distinct(const std::vector<Expr>& values, int64_t min, int64_t max);
  std::vector<Expr> finite_values(Goal item, const std::string& place);
  Expr object(const ObjectShape& object);
  std::optional<Members> writable(const ObjectShape& object);
  Expr other_members(const Members& members, int64_t n_before);
  SchemaValue schema_value(Goal goal);
  bool has_value(Goal goal);

  GrammarBuilder& builder_;
  SchemaReader& reader_;
  JsonText text_;
  JsonSchemaOptions options_;
  std::map<Goal, Expr> values_;
  // Written once. The reader keeps the sets alive, so their addresses stay theirs.
  std::map<const void*, Expr> numbers_;
  std::map<std::tuple<const void*, int64_t, int64_t>, Expr> texts_;
  std::vector<std::pair<Goal, Rule>> unwritten_;
};

}  // namespace qwen3
