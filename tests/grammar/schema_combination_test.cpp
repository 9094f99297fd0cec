// Combinations, conditions, references and limits of JSON Schemas, by texts.
#include <gtest/gtest.h>

#include "grammar/schema.h"
#include "grammar/schema_texts.h"

namespace qwen3 {
namespace {

TEST(Schema, Combinations) {
  expect(R"({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]})",
         {"1", R"("a")"},
         {R"("ab")", "null"});
  expect(R"({"type": "object", "properties": {"k": {"type": "null"}}, "required": ["k"],
             "anyOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                       {"properties": {"b": {"type": "string"}}, "required": ["b"]}]})",
         {R"({"k":null,"a":1})", R"({"k":null,"b":"x"})"},
         {R"({"k":null})", R"({"a":1})", R"({"k":null,"a":"x"})"});
  expect(
      R"({"allOf": [{"properties": {"a": {"minimum": 2}}, "required": ["a"]}, {"properties": {"a": {"type": "integer"},
             "b": {"type": "null"}}}], "type": "object"})",
      {R"({"a":2,"b":null})", R"({"a":7})"},
      {R"({"a":1})", R"({"b":null})", R"({"a":2.5})", R"({"a":2,"c":1})"});
  expect(R"({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}]})",
         {"1", "2.5", "-7"},
         {"2", "3", "1.5"});
  expect(
      R"({"oneOf": [{"type": "object", "properties": {"t": {"const": "a"}, "x": {"type": "integer"}}, "required": ["t"]},
                       {"type": "object", "properties": {"t": {"const": "b"}, "y": {"type": "null"}}, "required": ["t"]}]})",
      {R"({"t":"a","x":1})", R"({"t":"b","y":null})"},
      {R"({"t":"a","y":null})", R"({"x":1})"});
  expect(
      R"({"type": "object", "properties": {"a": {}, "b": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]})",
      {R"({"a":1})", R"({"b":1})"},
      {"{}", R"({"a":1,"b":2})"});
  expect(
      R"({"oneOf": [{"type": "object", "properties": {"a": {"type": "array", "items": {"type": "null"}}}, "required": ["a"]},
                       {"type": "object", "properties": {"b": {"type": "array", "items": {"type": "null"}}}, "required": ["b"]}]})",
      {R"({"a":[]})", R"({"b":[null]})"},
      {"{}", R"({"a":[],"b":[]})"});
  expect_refused(
      R"({"oneOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "array", "items": {"type": "number"}}]})",
      GrammarFault::unsupported_schema,
      "/oneOf");
}

TEST(Schema, Negation) {
  expect(R"({"not": {"type": ["string", "object"]}})", {"1", "null", "[]"}, {R"("")", "{}"});
  expect(R"({"type": "integer", "not": {"enum": [1, 2]}})", {"0", "3", "12"}, {"1", "2"});
  expect(R"({"type": "string", "not": {"pattern": "^a"}, "maxLength": 3})",
         {R"("ba")", R"("")"},
         {R"("a")", R"("abc")"});
  expect(R"({"type": "object", "not": {"required": ["a"]}})",
         {"{}", R"({"b":1})"},
         {R"({"a":1})", R"({"b":1,"a":1})"});
  expect(R"({"type": "object", "not": {"properties": {"a": {"const": 1}}, "required": ["a"]}})",
         {"{}", R"({"a":2})"},
         {R"({"a":1})"});
  expect(R"({"type": "object", "required": ["a"], "properties": {"a": {"not": {"type": "null"}}}})",
         {R"({"a":1})"},
         {R"({"a":null})"});
  expect(R"({"type": "number", "not": {"const": 1}})", {"1.5", "2"}, {"1", "1.0", "1.00"});
  expect_refused(R"({"not": {"type": "array", "items": {"type": "null"}}})",
                 GrammarFault::unsupported_schema,
                 "/not");
  expect_refused(R"({"not": {}})", GrammarFault::unsatisfiable_schema, "");
}

TEST(Schema, Conditions) {
  expect(
      R"({"type": "object", "properties": {"kind": {"enum": ["a", "b"]}, "x": {"type": "integer"}}, "required": ["kind"],
             "if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["x"]}, "else": {"not": {"required": ["x"]}}})",
      {R"({"kind":"a","x":1})", R"({"kind":"b"})"},
      {R"({"kind":"a"})", R"({"kind":"b","x":1})"});
  expect(
      R"({"type": "object", "properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}})",
      {"{}", R"({"b":1})", R"({"a":1,"b":2})"},
      {R"({"a":1})"});
  expect(
      R"({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"a": {}, "b": {}},
             "dependencies": {"a": {"properties": {"b": {"type": "null"}}, "required": ["b"]}}})",
      {"{}", R"({"b":1})", R"({"a":1,"b":null})"},
      {R"({"a":1})", R"({"a":1,"b":2})"});
}

TEST(Schema, References) {
  expect(
      R"({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/n"}},
             "required": ["v"]}}})",
      {R"({"v":1})", R"({"v":1,"next":{"v":2,"next":{"v":3}}})"},
      {"{}", R"({"v":1,"next":{}})"});
  expect(R"({"$defs": {"a b/~%": {"type": "null"}}, "$ref": "#/$defs/a%20b~1~0%25"})",
         {"null"},
         {"1"});
  expect(R"({"$id": "http://example.com/root", "items": {"$ref": "inner#here"}, "type": "array",
             "$defs": {"x": {"$id": "/inner", "$defs": {"y": {"$anchor": "here", "type": "null"}}}}})",
         {"[null]"},
         {"[1]"});
  expect(R"({"$ref": "#/$defs/s", "maxLength": 2, "$defs": {"s": {"type": "string"}}})",
         {R"("ab")"},
         {R"("abc")", "1"});
  expect(
      R"({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/s", "maxLength": 2,
             "definitions": {"s": {"type": "string"}}})",
      {R"("abc")"},
      {"1"});
  expect_refused(
      R"({"$ref": "http://example.com/other"})", GrammarFault::unsupported_schema, "/$ref");
  expect_refused(R"({"$ref": "#/$defs/none"})", GrammarFault::invalid_schema, "/$ref");
  expect_refused(R"({"$ref": "#"})", GrammarFault::invalid_schema, "");
  expect_refused(
      R"({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}}})",
      GrammarFault::unsatisfiable_schema,
      "");
  expect_refused(R"({"$schema": "http://json-schema.org/draft-03/schema#"})",
                 GrammarFault::unsupported_schema,
                 "/$schema");
}

TEST(Schema, AnyObject) {
  const GrammarPtr grammar = compile_json_object();
  for (const char* text : {"{}", R"({"a": {"b": [1, 2.5e3, "x"]}})", "{\n  \"a\": null\n}"}) {
    EXPECT_TRUE(accepts(*grammar, text)) << text;
  }
  for (const char* text : {"[]", "1", "{} ", R"({"a":1,"a":2})"})
    EXPECT_FALSE(accepts(*grammar, text)) << text;
}

TEST(Schema, Limits) {
  std::string deep = "{}";
  for (int i = 0; i < 40; ++i) deep = R"({"items": )" + deep + "}";
  EXPECT_NO_THROW(compile(deep));
  Json json;
  for (int i = 0; i < 100; ++i) json = Json{{"items", json}};
  EXPECT_THROW(compile_json_schema(json), GrammarError);
  Json branches = {{"allOf", Json::array()}};
  for (int i = 0; i < 12; ++i) {
    Json two = Json::array();
    for (const char* name : {"a", "b"}) two.push_back({{"required", {name + std::to_string(i)}}});
    branches["allOf"].push_back({{"anyOf", two}});
  }
  try {
    compile_json_schema(branches, {}, {std::chrono::seconds(20)});
    ADD_FAILURE();
  } catch (const GrammarError& e) {
    EXPECT_EQ(e.fault(), GrammarFault::too_complex) << e.what();
  }
  Json wide = {{"type", "object"}, {"properties", Json::object()}};
  for (int i = 0; i < 3000; ++i)
    wide["properties"]["p" + std::to_string(i)] = {{"type", "integer"}};
  const GrammarPtr grammar = compile_json_schema(wide, {}, {std::chrono::seconds(20)});
  EXPECT_TRUE(accepts(*grammar, R"({"p0":1,"p2999":2})"));
  EXPECT_FALSE(accepts(*grammar, R"({"p2999":1,"p0":2})"));
}

TEST(Schema, Budget) {
  EXPECT_THROW(
      compile_json_schema(
          parse_json(R"({"type": "integer"})", "schema"), {}, {std::chrono::milliseconds(-1)}),
      GrammarError);
  // A reference twice in each of 60 schemas: 2^60 ways.
  Json schema = {{"$ref", "#/$defs/s0"}, {"$defs", Json::object()}};
  for (int i = 0; i < 60; ++i) {
    const Json next = {{"$ref", "#/$defs/s" + std::to_string(i + 1)}};
    schema["$defs"]["s" + std::to_string(i)] = {{"anyOf", {next, {{"allOf", {next}}}}}};
  }
  schema["$defs"]["s60"] = {{"type", "null"}};
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(compile_json_schema(schema), GrammarError);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Schema, ObjectsForOtherNotations) {
  GrammarBuilder builder({std::chrono::seconds(20)});
  const auto objects = schema_objects(builder,
                                      parse_json(R"({"type": "object",
      "properties": {"path": {"type": "string", "maxLength": 9}, "n": {"$ref": "#/$defs/n"}, "any": {}, "never": false},
      "required": ["path", "extra"], "$defs": {"n": {"type": ["integer", "string"]}}})",
                                                 "schema"));
  ASSERT_EQ(objects.size(), 1u);
  const auto& properties = objects[0].properties;
  ASSERT_EQ(properties.size(), 4u);
  EXPECT_EQ(properties[0].name, "path");
  EXPECT_TRUE(properties[0].required);
  EXPECT_TRUE(properties[0].value.only_strings);
  ASSERT_EQ(properties[0].value.texts.size(), 1u);
  EXPECT_EQ(properties[0].value.texts[0].max_length, 9);
  EXPECT_EQ(properties[1].name, "n");
  EXPECT_FALSE(properties[1].required || properties[1].value.only_strings);
  EXPECT_EQ(properties[1].value.texts.size(), 1u);
  EXPECT_EQ(properties[2].name, "any");
  EXPECT_EQ(properties[3].name, "extra");
  EXPECT_TRUE(properties[3].required);
  EXPECT_TRUE(objects[0].others.empty());
  const GrammarPtr grammar = builder.build(properties[1].value.json);
  EXPECT_TRUE(accepts(*grammar, "12"));
  EXPECT_TRUE(accepts(*grammar, R"("a")"));
  EXPECT_FALSE(accepts(*grammar, "null"));
}

TEST(Schema, ObjectsOfAlternatives) {
  GrammarBuilder builder({std::chrono::seconds(20)});
  const auto objects = schema_objects(builder,
                                      parse_json(R"({"anyOf": [{"type": "string"},
      {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}},
      {"type": "object", "required": ["b"], "additionalProperties": false},
      {"type": "object", "properties": {"b": {}}}]})",
                                                 "schema"));
  ASSERT_EQ(objects.size(), 2u);  // the one that needs a key it forbids is gone
  ASSERT_EQ(objects[0].others.size(), 1u);
  EXPECT_TRUE(objects[0].others[0].value.only_strings);
  EXPECT_FALSE(objects[0].others[0].names.contains("a"));
  EXPECT_TRUE(objects[0].others[0].names.contains("b"));
  EXPECT_THROW(schema_objects(builder, parse_json(R"({"type": "string"})", "schema")),
               GrammarError);
  EXPECT_THROW(schema_objects(builder, parse_json(R"({"minProperties": 1})", "schema")),
               GrammarError);
}

}  // namespace
}  // namespace qwen3
