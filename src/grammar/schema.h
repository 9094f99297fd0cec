// A JSON Schema inside of a larger grammar: the arguments of a tool call, a tag that holds JSON.
//
//   {"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}}, "required": ["city"]}
//   schema_expression: `{"city": "Rome"}`, all of it
//   schema_objects:    [{city, required, only strings: texts of at most 30}], for notations that are no JSON
//
// Both read the document whole (`schema` is the root of every `$ref`) and need it only during the call. They
// throw GrammarError, whose place is a JSON pointer into `schema`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grammar/grammar_builder.h"

namespace qwen3 {

// The JSON texts of the values that the schema allows; blanks only within a value, none around it.
GrammarBuilder::Expr schema_expression(GrammarBuilder& builder,
                                       const Json& schema,
                                       const JsonSchemaOptions& options = {});

// Texts of `set` with min_length to max_length (-1: no limit) code points: arguments of GrammarBuilder::text.
struct SchemaText {
  TextDfa set;
  int64_t min_length = 0;
  int64_t max_length = -1;
};

struct SchemaValue {
  GrammarBuilder::Expr json;      // any allowed value, as JSON
  std::vector<SchemaText> texts;  // the allowed strings: a union, empty if none is
  bool only_strings = false;      // no value but strings is allowed
};

struct SchemaProperty {
  std::string name;
  bool required = false;
  SchemaValue value;
};

// Keys that have no name in the schema; disjoint from its names and from other such sets.
struct SchemaOtherKeys {
  TextDfa names;
  SchemaValue value;
};

// Members of an object in the order in which they are to come.
struct SchemaObject {
  std::vector<SchemaProperty> properties;
  std::vector<SchemaOtherKeys> others;  // any number of each, none twice
};

// The objects that the schema allows, as alternatives: one, unless it has anyOf or the like at its root; never
// none (unsatisfiable_schema). Values that are no objects are left out. minProperties and maxProperties that
// the other keywords do not imply: unsupported_schema.
std::vector<SchemaObject> schema_objects(GrammarBuilder& builder,
                                         const Json& schema,
                                         const JsonSchemaOptions& options = {});

}  // namespace qwen3
