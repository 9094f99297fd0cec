#include "grammar/schema.h"

#include <utility>

#include "grammar/schema_reader.h"
#include "grammar/schema_writer.h"

namespace qwen3 {

GrammarBuilder::Expr schema_expression(GrammarBuilder& builder,
                                       const Json& schema,
                                       const JsonSchemaOptions& options) {
  SchemaReader reader(schema, options, [&](int64_t bytes) { builder.spend(bytes); });
  SchemaWriter writer(builder, reader, options);
  const GrammarBuilder::Expr value = writer.value(reader.root());
  writer.finish();
  return value;
}

std::vector<SchemaObject> schema_objects(GrammarBuilder& builder,
                                         const Json& schema,
                                         const JsonSchemaOptions& options) {
  SchemaReader reader(schema, options, [&](int64_t bytes) { builder.spend(bytes); });
  SchemaWriter writer(builder, reader, options);
  std::vector<SchemaObject> out;
  for (const ObjectShape& object : reader.shape(reader.root()).objects) {
    if (auto members = writer.members(object)) out.push_back(std::move(*members));
  }
  writer.finish();
  if (out.empty()) {
    throw GrammarError(GrammarFault::unsatisfiable_schema, "", "allows no object");
  }
  return out;
}

GrammarPtr compile_json_schema(const Json& schema,
                               const JsonSchemaOptions& options,
                               const GrammarBudget& budget) {
  GrammarBuilder builder(budget);
  return builder.build(schema_expression(builder, schema, options));
}

GrammarPtr compile_json_object(const JsonSchemaOptions& options) {
  return compile_json_schema({{"type", "object"}}, options);
}

}  // namespace qwen3
