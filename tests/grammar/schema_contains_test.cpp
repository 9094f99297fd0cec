// contains with its bounds, and the unevaluated keywords, by texts.
#include <gtest/gtest.h>

#include "grammar/schema_texts.h"

namespace qwen3 {
namespace {

TEST(SchemaContains, AtLeastOne) {
  expect(R"({"type": "array", "contains": {"const": 5}})",
         {"[5]", "[1, 5]", "[5, 5, \"x\"]", "[{}, [], 5, null]"},
         {"[]", "[1]", "[\"5\"]"});
  expect(
      R"({"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 10}, "minItems": 2})",
      {"[10, 1]", "[1, 2, 11]"},
      {"[10]", "[1, 2]", "[10, \"x\"]"});
  expect(
      R"({"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "contains": {"type": "null"},
             "minContains": 2})",
      {"[null]"},
      {"[1]"});
  expect(R"({"type": "array", "contains": true, "items": {"type": "null"}})", {"[null]"}, {"[]"});
  expect_refused(R"({"type": "array", "contains": false})", GrammarFault::unsatisfiable_schema, "");
}

TEST(SchemaContains, CountsWhatIsValid) {
  expect(R"({"type": "array", "contains": {"type": "string"}, "minContains": 2, "maxContains": 3,
             "items": {"type": ["string", "integer"]}})",
         {R"(["a","b"])", R"([1,"a",2,"b",3,"c",4])"},
         {R"(["a"])", R"(["a","b","c","d"])", "[]", R"([1,2])"});
  expect(R"({"type": "array", "contains": {"const": 1}, "minContains": 0, "maxContains": 1})",
         {"[]", "[1]", "[2, 1, 3]", "[2, 3]"},
         {"[1, 1]", "[1, 2, 1]"});
  expect(R"({"type": "array", "contains": {"type": "null"}, "maxContains": 1, "maxItems": 3})",
         {"[null]", "[1, null, 2]"},
         {"[null, null]", "[1, 2, null, 3]", "[]"});
}

TEST(SchemaContains, BesideTuples) {
  expect(R"({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}],
             "items": {"type": "boolean"}, "contains": {"enum": [7, true]}})",
         {"[7]", R"([1, "a", true])", R"([7, "a"])"},
         {"[1]", R"([1, "a", false])", "[]", "[true]"});
  expect(
      R"({"type": "array", "prefixItems": [{"const": 1}], "items": false, "contains": {"const": 1}})",
      {"[1]"},
      {"[]", "[1, 1]"});
}

TEST(SchemaContains, IsCombinedAndNegated) {
  expect(R"({"type": "array", "items": {"enum": [1, 2]}, "not": {"contains": {"const": 1}}})",
         {"[]", "[2]", "[2, 2]"},
         {"[1]", "[2, 1]"});
  expect(R"({"type": "array", "$defs": {"one": {"const": 1}}, "allOf": [
             {"contains": {"$ref": "#/$defs/one"}, "minContains": 2}, {"contains": {"$ref": "#/$defs/one"}}]})",
         {"[1, 2, 1]", "[1, 1]"},
         {"[1]"});
  expect_refused(
      R"({"type": "array", "allOf": [{"contains": {"const": 1}}, {"contains": {"const": 2}}]})",
      GrammarFault::unsupported_schema,
      "/allOf/0/contains");
  expect_refused(R"({"type": "array", "contains": {"type": "null"}, "uniqueItems": true})",
                 GrammarFault::unsupported_schema,
                 "/uniqueItems");
  expect_refused(
      R"({"type": "array", "contains": {"type": "null"}, "minContains": 200, "minItems": 200})",
      GrammarFault::too_complex,
      "/contains");
}

TEST(SchemaUnevaluated, PropertiesOfOtherSchemasAreLookedAt) {
  const char* schema = R"({"type": "object", "properties": {"a": {"type": "null"}},
      "allOf": [{"properties": {"b": {"type": "integer"}}}, {"$ref": "#/$defs/c"}],
      "$defs": {"c": {"patternProperties": {"^c": {"type": "boolean"}}}},
      "unevaluatedProperties": false})";
  expect_open(schema,
              {"{}", R"({"a":null})", R"({"a":null,"b":1,"cc":true})"},
              {R"({"d":1})", R"({"a":null,"d":1})", R"({"cc":1})"});
  expect_open(
      R"({"type": "object", "properties": {"a": {}}, "unevaluatedProperties": {"type": "null"}})",
      {R"({"a":1,"x":null})"},
      {R"({"a":1,"x":1})"});
  // A value that is given is not a property that is looked at.
  expect_refused(
      R"({"type": "object", "const": {"a": 1}, "unevaluatedProperties": {"type": "string"}})",
      GrammarFault::unsatisfiable_schema,
      "");
}

TEST(SchemaUnevaluated, OnlyWhereTheOtherSchemaHolds) {
  const char* schema = R"({"type": "object", "anyOf": [
      {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
      {"properties": {"b": {"type": "integer"}}, "required": ["b"]}],
      "unevaluatedProperties": false})";
  expect_open(schema, {R"({"a":1})", R"({"b":1})", R"({"a":1,"b":2})"}, {"{}", R"({"a":1,"c":2})"});
  const char* condition =
      R"({"type": "object", "if": {"properties": {"k": {"const": 1}}, "required": ["k"]},
      "then": {"properties": {"t": {}}}, "else": {"properties": {"e": {}}}, "unevaluatedProperties": false})";
  expect_open(condition, {R"({"k":1,"t":2})", R"({"e":2})"}, {R"({"k":1,"e":2})", R"({"t":2})"});
}

TEST(SchemaUnevaluated, Items) {
  expect(R"({"type": "array", "allOf": [{"prefixItems": [{"type": "integer"}, {"type": "null"}]}],
             "prefixItems": [true], "unevaluatedItems": false})",
         {"[]", "[1]", "[1, null]"},
         {"[1, null, 2]", R"(["a"])"});
  expect(
      R"({"type": "array", "allOf": [{"items": {"type": "integer"}}], "unevaluatedItems": false})",
      {"[]", "[1, 2]"},
      {"[null]"});
  expect_refused(R"({"type": "array", "contains": {"const": 1}, "unevaluatedItems": false})",
                 GrammarFault::unsupported_schema,
                 "/unevaluatedItems");
}

}  // namespace
}  // namespace qwen3
