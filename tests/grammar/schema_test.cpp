// What each keyword of a JSON Schema allows, by texts: those of the first list are answers, those of the second are not.
#include <gtest/gtest.h>

#include "grammar/schema_texts.h"

namespace qwen3 {
namespace {

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
  Json many = {{"enum", Json::array()}};
  for (int i = 0; i < 9000; ++i)
    many["enum"].push_back(std::to_string(i * 7919) + std::string(30, '-'));
  const GrammarPtr grammar = compile_json_schema(many, {}, {std::chrono::seconds(20)});
  EXPECT_TRUE(accepts(*grammar, dump_json(many["enum"][0])));
  EXPECT_TRUE(accepts(*grammar, dump_json(many["enum"][8999])));
  EXPECT_FALSE(accepts(*grammar, R"("7919")"));
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
  expect(R"({"type": "string", "format": "regex"})",
         {R"("^[a-zA-Z0-9_]{3,16}$")",
          R"~("(?:a|(b(c))){2,10}?")~",
          R"("")",
          R"("\\d+(\\.\\d+)?|[^-]")",
          R"("[\\u4e00-\\u9fa5 -~а-я]")"},
         {R"("*")",
          R"("\\")",
          R"("(a")",
          R"~("a)")~",
          R"("[a")",
          R"("a**")",
          R"("a{3,2}")",
          R"("a{30,12}")",
          R"("[z-a]")",
          R"("[\\w-a]")",
          R"("\\a")",
          R"("^*")",
          R"~("((((a))))")~"});
  expect(R"({"type": "string", "format": "iri"})",
         {"\"http://ƒøø.ßår/?∂éœ=πîx#πîüx\"", "\"a:?\uE000\""},
         {R"("not-an-iri")", "\"a:\uE000\"", "\"http://ex ample\""});
  expect(R"({"type": "string", "format": "iri-reference"})",
         {"\"/âππ\"", R"("")"},
         {R"("\\\\WINDOWS\\filëßåré")"});
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

}  // namespace
}  // namespace qwen3
