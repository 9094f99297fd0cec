// What each keyword of a JSON Schema allows, by texts: those of the first list are answers, those of the second are not.
#include "grammar/schema.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "support/json_instances.h"

namespace qwen3 {
namespace {

using Texts = std::vector<std::string>;

GrammarPtr compile(const std::string& schema, const JsonSchemaOptions& options = {}) {
  return compile_json_schema(parse_json(schema, "schema"), options, {std::chrono::seconds(20)});
}

void expect(const std::string& schema,
            const Texts& valid,
            const Texts& invalid,
            const JsonSchemaOptions& options = {}) {
  SCOPED_TRACE(schema);
  GrammarPtr grammar;
  try {
    grammar = compile(schema, options);
  } catch (const GrammarError& e) {
    ADD_FAILURE() << "refused: " << fault_name(e.fault()) << ": " << e.what();
    return;
  }
  for (const std::string& text : valid) EXPECT_TRUE(accepts(*grammar, text)) << text;
  for (const std::string& text : invalid) EXPECT_FALSE(accepts(*grammar, text)) << text;
}

void expect_open(const std::string& schema, const Texts& valid, const Texts& invalid) {
  JsonSchemaOptions options;
  options.open_objects = true;
  expect(schema, valid, invalid, options);
}

void expect_refused(const std::string& schema, GrammarFault fault, const std::string& place) {
  SCOPED_TRACE(schema);
  try {
    compile(schema);
    ADD_FAILURE() << "not refused";
  } catch (const GrammarError& e) {
    EXPECT_EQ(fault_name(e.fault()), fault_name(fault)) << e.what();
    EXPECT_EQ(e.place(), place) << e.what();
  }
}

TEST(Schema, Types) {
  expect(R"({"type": "null"})", {"null"}, {"true", "0", R"("")", "[]", "{}", ""});
  expect(R"({"type": "boolean"})", {"true", "false"}, {"null", "0"});
  expect(R"({"type": "integer"})",
         {"0", "-1", "12", "123456789012345678901234567890"},
         {"1.0", "1e3", "01", "+1", "1.5", "-", "1" + std::string(100, '0')});
  expect(R"({"type": "number"})",
         {"0", "-0.5", "1e3", "1.25E-2", "12"},
         {"01", ".5", "1.", "1e", "NaN", "1e999"});
  expect(R"({"type": "string"})",
         {R"("")", R"("a\n\"\\")", R"("\u00e4")", "\"ä\"", "\"\U0001F600\""},
         {"\"\n\"", R"("\x")", R"("\ud800")", R"(")", "a"});
  expect(R"({"type": ["integer", "null"]})", {"null", "3"}, {"true", R"("3")"});
  expect("true", {"null", "[]", R"({"a": [1, {}]})", R"("x")", "1.5"}, {"", "nul", "[1,]", "{,}"});
  expect_refused("false", GrammarFault::unsatisfiable_schema, "");
  expect_refused("3", GrammarFault::invalid_schema, "");
  expect_refused(R"({"type": "text"})", GrammarFault::invalid_schema, "/type");
}

TEST(Schema, Whitespace) {
  const char* schema =
      R"({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}})";
  expect(schema,
         {"[]", "[ ]", "[\n]", "[{}]", "[ {\n    \"a\":\n\t1 }, {\"a\": 2}\n]"},
         {" []",
          "[] ",
          "[  ]",
          "[\n\n]",
          "[{} ,{}]",
          "[{\"a\" :1}]",
          "[\n" + std::string(21, ' ') + "]"});
  JsonSchemaOptions compact;
  compact.any_whitespace = false;
  expect(schema, {"[]", R"([{"a":1},{}])"}, {"[ ]", R"([{"a": 1}])"}, compact);
  JsonSchemaOptions pattern;
  pattern.whitespace_pattern = "[ ]{0,2}";
  expect(schema, {"[]", "[  ]", R"([{"a":  1},{}])"}, {"[   ]", "[\n]"}, pattern);
  pattern.whitespace_pattern = "x?";
  EXPECT_THROW(compile(schema, pattern), GrammarError);
}

TEST(Schema, PropertiesComeInOrder) {
  const char* schema =
      R"({"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "null"}},
                           "required": ["a"]})";
  expect(schema,
         {R"({"b":1,"a":null})", R"({"a":null})"},
         {R"({"a":null,"b":1})",
          R"({"b":1})",
          "{}",
          R"({"b":1,"a":null,"c":1})",
          R"({"a":null,"a":null})"});
  expect_open(schema,
              {R"({"b":1,"a":null,"c":[{}]})", R"({"a":null,"":0,"bb":1})"},
              {R"({"c":1,"a":null})", R"({"a":null,"c":1,"c":2})", R"({"a":null,"b":"x"})"});
  expect(R"({"properties": {"a": {}}, "required": ["z", "a"]})",
         {R"({"a":1,"z":2})", "3", "null"},
         {R"({"z":2,"a":1})", R"({"a":1})", R"({"a":1,"z":2,"y":3})"});
  expect(R"({"type": "object", "required": ["a"]})", {R"({"a":1,"x":2})"}, {R"({"x":2})", "{}"});
  expect(R"({"type": "object"})", {"{}", R"({"x":{"y":[]}})"}, {"[]", R"({"x":1,"x":2})"});
  expect(
      R"({"type": "object", "properties": {"\"\n": {"type": "null"}}})", {R"({"\"\n":null})"}, {});
}

TEST(Schema, OtherKeys) {
  expect(R"({"properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "integer"}})",
         {R"({"a":null,"b":1})", R"({"b":1,"c":2})", "{}"},
         {R"({"b":null})", R"({"b":1,"a":1})", R"({"b":1,"b":1})"});
  expect(R"({"type": "object", "additionalProperties": false})", {"{}"}, {R"({"a":1})"});
  expect(
      R"({"type": "object", "patternProperties": {"^n_": {"type": "integer"}, "_s$": {"type": "string"}}})",
      {R"({"n_":1})", R"({"x_s":"t","n_":1,"other":[]})", "{}"},
      {R"({"n_":"t"})", R"({"x_s":1})", R"({"n_s":1})", R"({"n_s":"t"})"});
  expect(
      R"({"type": "object", "properties": {"n_a": {"minimum": 3}}, "patternProperties": {"^n_": {"type": "integer"}},
             "additionalProperties": false})",
      {R"({"n_a":3,"n_b":0})"},
      {R"({"n_a":2})", R"({"n_a":"t"})", R"({"b":0})"});
  expect(R"({"type": "object", "propertyNames": {"maxLength": 2, "pattern": "^a"}})",
         {"{}", R"({"a":1,"ab":2})"},
         {R"({"abc":1})", R"({"b":1})"});
  expect(R"({"type": "object", "minProperties": 2, "maxProperties": 3})",
         {R"({"a":1,"b":2})", R"({"a":1,"b":2,"c":3})"},
         {"{}", R"({"a":1})", R"({"a":1,"a":2})", R"({"a":1,"b":2,"c":3,"d":4})"});
  expect(
      R"({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "required": ["b"], "maxProperties": 2, "minProperties": 2})",
      {R"({"a":1,"b":2})", R"({"b":2,"c":3})"},
      {R"({"b":2})", R"({"a":1,"b":2,"c":3})", R"({"a":1,"c":3})"});
}

TEST(Schema, Arrays) {
  expect(R"({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3})",
         {"[1]", "[1,2]", "[1,2,3]"},
         {"[]", "[1,2,3,4]", "[null]"});
  expect(
      R"({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}], "items": {"type": "boolean"}})",
      {"[]", "[1]", "[1,null]", "[1,null,true,false]"},
      {"[null]", "[1,true]", "[1,null,1]"});
  expect(R"({"type": "array", "items": [{"type": "integer"}], "additionalItems": false})",
         {"[]", "[1]"},
         {"[1,1]", "[null]"});
  expect(
      R"({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}], "minItems": 2, "items": false})",
      {"[1,null]"},
      {"[1]", "[1,null,1]"});
  expect(R"({"type": "array", "maxItems": 0})", {"[]"}, {"[1]"});
  expect(R"({"type": "array", "items": {"enum": ["a", 1, true]}, "uniqueItems": true})",
         {"[]", R"([1])", R"(["a",1,true])", R"([true,"a"])"},
         {"[1,1]", R"(["a",1,"a"])"});
  expect(
      R"({"type": "array", "items": {"type": "string", "pattern": "^x"}, "uniqueItems": true, "minItems": 2})",
      {R"(["x","xy"])"},
      {R"(["x","x"])", R"(["x"])", R"(["x","y"])"});
  expect_refused(R"({"type": "array", "items": {"type": "number"}, "uniqueItems": true})",
                 GrammarFault::unsupported_schema,
                 "/uniqueItems");
  expect_refused(R"({"type": "array", "contains": {"type": "number"}})",
                 GrammarFault::unsupported_schema,
                 "/contains");
  expect_refused(
      R"({"type": "array", "minItems": 2, "maxItems": 1})", GrammarFault::unsatisfiable_schema, "");
}

TEST(Schema, Enumerations) {
  expect(R"({"enum": ["red", 1, 1.5, null, true, [1, {"a": 2}], {"k": "v", "b": []}]})",
         {R"("red")", "1", "1.5", "null", "true", "[1, {\"a\": 2}]", R"({"k":"v","b":[]})"},
         {R"("re")",
          "1.0",
          "1.50",
          "false",
          "[1]",
          R"([1,{"a":3}])",
          R"({"k":"v"})",
          R"({"b":[],"k":"v"})"});
  expect(R"({"const": "a/\u00e4\n"})", {"\"a/ä\\n\""}, {R"("a")"});
  expect(R"({"enum": [1, "a", null], "type": "string"})", {R"("a")"}, {"1", "null"});
  expect_refused(R"({"enum": [1], "type": "string"})", GrammarFault::unsatisfiable_schema, "");
}

TEST(Schema, Strings) {
  expect(R"({"type": "string", "minLength": 2, "maxLength": 3})",
         {R"("ab")", "\"ä€\U0001F600\"", R"("\n\"x")", R"("\u0041bc")"},
         {R"("a")", R"("abcd")", R"("")"});
  expect(R"({"type": "string", "pattern": "b+"})", {R"("abbc")", R"("b")"}, {R"("ac")", R"("")"});
  expect(R"({"type": "string", "pattern": "^[a-z]+$", "maxLength": 3, "minLength": 2})",
         {R"("ab")", R"("abc")"},
         {R"("a")", R"("abcd")", R"("a1")"});
  expect(R"({"type": "string", "format": "date", "pattern": "^2024"})",
         {R"("2024-02-29")"},
         {R"("2023-02-28")", R"("2024-02-30")"});
  expect(R"({"type": "string", "maxLength": 100000})", {R"("abc")"}, {});
  expect(R"({"type": "string", "format": "color"})", {R"("anything")"}, {});
  expect(R"({"type": "string", "format": "uuid"})",
         {R"("123e4567-e89b-12d3-a456-426614174000")"},
         {R"("123e4567")"});
  expect(R"({"type": "string", "format": "time"})",
         {R"("23:59:60Z")", R"("12:00:00.5+01:00")"},
         {R"("12:00:60Z")", R"("24:00:00Z")", R"("12:00:00")"});
  expect(R"({"type": "string", "format": "ipv6"})",
         {R"("::1")", R"("1:2::3.4.5.6")", R"("1:2:3:4:5:6:7:8")"},
         {R"("1::2::3")", R"("1:2:3:4:5:6:7")", R"(":1")"});
  try {
    compile(R"~({"properties": {"a": {"pattern": "(?=x)"}}})~");
    ADD_FAILURE();
  } catch (const GrammarError& e) {
    EXPECT_EQ(e.fault(), GrammarFault::invalid_regex);
    EXPECT_TRUE(std::string(e.what()).starts_with("/properties/a/pattern")) << e.what();
  }
}

TEST(Schema, Numbers) {
  expect(R"({"type": "integer", "minimum": -3, "maximum": 12})",
         {"-3", "0", "9", "12"},
         {"-4", "13", "1.0", "100"});
  expect(R"({"type": "number", "minimum": 0.5, "exclusiveMaximum": 2})",
         {"0.5", "0.50", "1", "1.99"},
         {"0.49", "2", "2.0", "-1", "1e0"});
  expect(R"({"type": "number", "exclusiveMinimum": -1.5, "maximum": -0.25})",
         {"-1.4", "-1", "-0.25"},
         {"-1.5", "-0.2", "0", "-2"});
  expect(
      R"({"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer", "minimum": 5, "exclusiveMinimum": true})",
      {"6"},
      {"5"});
  expect(R"({"type": "integer", "multipleOf": 7})", {"0", "7", "-14", "700"}, {"1", "8", "7.0"});
  expect(
      R"({"type": "number", "multipleOf": 0.25})", {"0.25", "0.5", "3", "1.750"}, {"0.3", "0.125"});
  expect(R"({"type": "number", "multipleOf": 1.5, "minimum": 2})", {"3", "4.5"}, {"1.5", "2"});
  expect(R"({"type": "integer", "minimum": 1e20})",
         {"100000000000000000000"},
         {"99999999999999999999"});
  expect(
      R"({"type": "integer", "format": "int32"})", {"2147483647", "-2147483648"}, {"2147483648"});
  expect(R"({"minimum": 3})", {"3", "null", R"("x")"}, {"2"});
  expect_refused(
      R"({"type": "integer", "minimum": 3, "maximum": 2})", GrammarFault::unsatisfiable_schema, "");
  expect_refused(
      R"({"type": "integer", "multipleOf": 1009})", GrammarFault::too_complex, "/multipleOf");
  expect_refused(R"({"multipleOf": 0})", GrammarFault::invalid_schema, "/multipleOf");
}

TEST(Schema, KeywordsApplyToTheirTypes) {
  expect(R"({"minLength": 2})", {R"("ab")", "1", "null", "[]", "{}"}, {R"("a")"});
  expect(R"({"properties": {"a": {"type": "null"}}})",
         {R"({"a":null})", "1", R"("x")", "[]"},
         {R"({"a":1})"});
  expect(R"({"items": {"type": "null"}})", {"[null]", "1", "{}"}, {"[1]"});
}

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
