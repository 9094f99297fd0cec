// Kinds of tool calls that went wrong in the field: types given in roundabout ways, values that
// speak of the markup, text that only looks like a call. Whole, and cut at every byte.
#include "chat/tool_calls.h"

#include <gtest/gtest.h>

#include "chat/parameter_value.h"

namespace qwen3 {
namespace {

const Json& tools() {
  static const Json kTools = parse_json(R"([
    {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {
      "text": {"type": "string"}, "count": {"type": "integer"}}}}},
    {"type": "function", "function": {"name": "h"}}])",
                                        "tools");
  return kTools;
}

ToolDelta parse(ToolFormat format, std::string_view text, size_t chunk) {
  const auto stream = make_tool_call_stream(format, std::make_shared<const Json>(tools()));
  ToolDelta all;
  for (size_t at = 0; at < text.size(); at += std::min(chunk, text.size() - at)) {
    all.append(stream->push(text.substr(at, chunk)));
  }
  all.append(stream->finish());
  return all;
}

// The same result for pieces of every size, and for two pieces cut anywhere.
ToolDelta parse_all(ToolFormat format, const std::string& text) {
  const ToolDelta whole = parse(format, text, text.size());
  for (size_t n = 1; n < text.size(); ++n) {
    EXPECT_EQ(parse(format, text, n), whole) << text << " in pieces of " << n;
    const auto stream = make_tool_call_stream(format, std::make_shared<const Json>(tools()));
    ToolDelta two = stream->push(std::string_view(text).substr(0, n));
    two.append(stream->push(std::string_view(text).substr(n)));
    two.append(stream->finish());
    EXPECT_EQ(two, whole) << text << " cut at " << n;
  }
  std::string at_ranges;
  for (const auto& [begin, end] : whole.ranges) at_ranges += text.substr(begin, end - begin);
  EXPECT_EQ(at_ranges, whole.content);
  return whole;
}

std::string call_of(const std::string& text) {
  return "<tool_call>\n<function=g>\n<parameter=text>\n" + text +
         "\n</parameter>\n<parameter=count>\n3\n</parameter>\n</function>\n</tool_call>";
}

// ---- types ----------------------------------------------------------------------------------

TEST(ParameterValueTest, EveryWayToGiveAType) {
  const Json root = parse_json(R"({
    "$defs": {"K": {"type": "object"}, "N": {"$ref": "#/definitions/I"}, "a/b~c": {"type": "integer"},
              "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}, {"$ref": "#/$defs/Loop"}]},
              "Color": {"enum": ["red", "1"]}},
    "definitions": {"I": {"type": "integer"}}})",
                               "root");
  struct Case {
    const char *schema, *text, *json;
  };
  const Case cases[] = {
      {R"({"type": "integer"})", "5", "5"},
      {R"({"type": " INTEGER "})", "5", "5"},
      {R"({"type": ["integer", "null"]})", "7", "7"},
      {R"({"type": ["string", "null"]})", "7", "\"7\""},
      {R"({"type": ["string", "null"]})", "null", "null"},
      {R"({"type": ["string", "integer"]})", "007", "\"007\""},
      {R"({"type": "string"})", "null", "\"null\""},
      {R"({"type": "string"})", "[1]", "\"[1]\""},
      {R"({"anyOf": [{"type": "integer"}, {"type": "null"}]})", "5", "5"},
      {R"({"anyOf": [{"type": "integer"}, {"type": "null"}]})", "None", "null"},
      {R"({"oneOf": [{"type": "number"}, {"type": "null"}]})", "0.5", "0.5"},
      {R"({"anyOf": [{"type": "string"}, {"type": "integer"}]})", "5", "5"},
      {R"({"anyOf": [{"type": "string"}, {"type": "integer"}]})", "5.5", "\"5.5\""},
      {R"({"anyOf": [{"anyOf": [{"type": "array"}]}, {"type": "null"}]})", "[\"a\"]", "[\"a\"]"},
      {R"({"allOf": [{"description": "d"}, {"type": "integer"}]})", "5", "5"},
      {R"({"allOf": [{"type": ["integer", "string"]}, {"type": "string"}]})", "5", "\"5\""},
      {R"({"$ref": "#/$defs/K"})", "{\"k\": 1}", "{\"k\": 1}"},
      {R"({"$ref": "#/$defs/N"})", "5", "5"},
      {R"({"$ref": "#/$defs/a~1b~0c"})", "5", "5"},
      {R"({"$ref": "#/$defs/Loop"})", "5", "\"5\""},
      {R"({"$ref": "#/$defs/none"})", "5", "\"5\""},
      {R"({"$ref": "#/$defs/Color"})", "1", "\"1\""},
      {R"({"enum": [1, 2, 3]})", "3", "3"},
      {R"({"enum": [1, 2, 3]})", "4", "4"},
      {R"({"enum": ["1", 2]})", "1", "\"1\""},
      {R"({"enum": ["1", 2]})", "2", "2"},
      {R"({"const": true})", "true", "true"},
      {R"({"type": "string", "enum": ["1"]})", "1", "\"1\""},
      {R"({"type": "integer", "nullable": true})", "null", "null"},
      {R"({"properties": {"a": {}}})", "{\"a\": 1}", "{\"a\": 1}"},
      {R"({"items": {}})", "[1]", "[1]"},
      {R"({"prefixItems": [{}]})", "[1]", "[1]"},
      {R"({"not": {"type": "string"}})", "5", "5"},
      {R"({"not": {"type": ["string", "null"]}})", "[1]", "[1]"},
      {R"({"not": {"type": "integer"}})", "5", "\"5\""},
      {R"({"not": {"type": "string", "maxLength": 3}})", "5", "\"5\""},
      {R"({"not": {"const": "5"}})", "5", "5"},
      {R"({"not": {"const": "x"}})", "5", "\"5\""},
      {R"({"type": ["string", "integer"], "not": {"type": "string"}})", "5", "5"},
      {R"({"if": {"type": "integer"}, "then": {"type": "integer"}, "else": {"type": "string"}})",
       "5",
       "5"},
      {R"({"if": {"type": "integer"}, "then": {"type": "integer"}, "else": {"type": "string"}})",
       "true",
       "\"true\""},
      {R"({"type": "boolean"})", "False", "false"},
      {R"({"type": "boolean"})", "yes", "\"yes\""},
      {R"({"type": "array"})", "['a', 1e22]", "[\"a\", 1e22]"},
      {R"({"type": "integer"})", "+5", "5"},
      {R"({"type": "integer"})", "12345678901234567890123", "12345678901234567890123"},
      {R"({"type": "integer"})", "9007199254740993", "9007199254740993"},
      {R"({"type": "number"})", "1e22", "1e22"},
      {R"({"type": "number"})", "3.10", "3.10"},
      {R"({"type": "object"})",
       "{\"n\":12345678901234567890123}",
       "{\"n\": 12345678901234567890123}"},
      {R"({})", "5", "\"5\""},
      {R"(true)", "5", "\"5\""}};
  for (const Case& c : cases) {
    const Json schema = parse_json(c.schema, "schema");
    EXPECT_EQ(parameter_json(c.text, &schema, root), c.json) << c.schema << " " << c.text;
  }
  const Json integer = {{"type", "integer"}};
  const std::string digits(400, '7');
  EXPECT_EQ(parameter_json(digits, &integer, root), digits);
}

// Thirteen steps, each of which refers twice to the next: 8,192 ways, and no more work than for one.
TEST(ParameterValueTest, ReferencesDoNotDouble) {
  Json defs = {{"13", {{"type", "null"}}}};
  for (int i = 0; i < 13; ++i) {
    const Json next = {{"$ref", "#/$defs/" + std::to_string(i + 1)}};
    defs[std::to_string(i)] = {{"anyOf", {next, next}}};
  }
  const Json root = {{"$defs", defs}};
  const Json schema = {{"$ref", "#/$defs/0"}};
  EXPECT_EQ(parameter_json("5", &schema, root), "5");  // neither a number nor a text is allowed
  EXPECT_EQ(parameter_json("null", &schema, root), "null");
}

TEST(ParameterValueTest, PropertiesMayStandElsewhere) {
  const Json parameters = parse_json(R"({
    "$ref": "#/$defs/Args", "$defs": {"Args": {"allOf": [{"properties": {"a": {"type": "integer"}}}],
                                               "if": {"required": ["a"]},
                                               "then": {"properties": {"c": {"type": "number"}}},
                                               "else": {"properties": {"d": {"type": "null"}}},
                                               "additionalProperties": {"type": "boolean"}}}})",
                                     "parameters");
  EXPECT_EQ(parameter_json("5", parameter_schema(parameters, "a"), parameters), "5");
  EXPECT_EQ(parameter_json("true", parameter_schema(parameters, "b"), parameters), "true");
  EXPECT_EQ(parameter_json("0.5", parameter_schema(parameters, "c"), parameters), "0.5");
  EXPECT_EQ(parameter_json("null", parameter_schema(parameters, "d"), parameters), "null");
}

// ---- values ---------------------------------------------------------------------------------

TEST(CoderCallsTest, AValueEndsAtItsOwnEnd) {
  for (const std::string value :
       {"close = \"</parameter>\"\nprint(close)",
        "</parameter>",
        "a\n</parameter>\nb",
        "x = \"</function>\"",
        "</function>\n</tool_call>",
        "a\n</parameter>\n</function>\nb",
        "\"\"\"\n</parameter>\n</function>\n</tool_call>\"\"\"\nb",
        "a\n</parameter>\n</function>\n</tool_call>\nb",
        "<parameter=count>",
        "a\n<parameter=count>\n4\nb",
        "see <function=g> and <tool_call>",
        "a\n<function=g>\nb",
        "a </parameter><parameter=count>4</parameter></function></tool_call> b",
        "</parameter>\n<parameter=\" + name",
        "```\n<tool_call>\n```",
        " leading and trailing \n"}) {
    const ToolDelta got = parse_all(ToolFormat::qwen3_coder, call_of(value));
    ASSERT_EQ(got.calls.size(), 1u) << value << "\n" << got.content;
    const Json arguments = parse_json(got.calls[0].arguments, "arguments");
    EXPECT_EQ(arguments["text"], value);
    EXPECT_EQ(arguments["count"], 3);
    EXPECT_EQ(got.content, "");
  }
  const std::string inner = "Write:\n" + call_of("x") + "\nThat is all.";
  const ToolDelta got = parse_all(ToolFormat::qwen3_coder, call_of(inner));
  ASSERT_EQ(got.calls.size(), 1u);
  EXPECT_EQ(parse_json(got.calls[0].arguments, "arguments")["text"], inner);
}

TEST(CoderCallsTest, LooserForms) {
  const std::string compact =
      "<tool_call><function=g><parameter=text>v</parameter><parameter=count>3</parameter>"
      "</function></tool_call>";
  const ToolCall call{"g", R"({"text": "v", "count": 3})"};
  for (const std::string& text : std::vector<std::string>{
           compact,
           compact + compact,
           call_of("v") + "\n" + compact,
           compact + "\nDone.",
           call_of("v") + " Done.",
           "<function=g>\n<parameter=text>\nv\n</parameter>\n<parameter=count>\n3\n</parameter>\n"
           "</function>\n</tool_call>"}) {
    const ToolDelta got = parse_all(ToolFormat::qwen3_coder, text);
    ASSERT_FALSE(got.calls.empty()) << text;
    for (const ToolCall& one : got.calls) EXPECT_EQ(one, call) << text;
    EXPECT_EQ(got.content, "") << text;
  }
}

TEST(ToolCallsTest, TextBetweenCallsIsContent) {
  const std::string hermes = "<tool_call>\n{\"name\": \"h\", \"arguments\": {}}\n</tool_call>";
  const std::string coder = "<tool_call>\n<function=h>\n</function>\n</tool_call>";
  for (const auto& [format, call] :
       {std::pair{ToolFormat::hermes, hermes}, {ToolFormat::qwen3_coder, coder}}) {
    const ToolDelta got =
        parse_all(format, "First.\n" + call + "\nThen.\n" + call + "\n" + call + "\nBehind.");
    EXPECT_EQ(got.content, "First.\n\nThen.\n");
    EXPECT_EQ(got.calls.size(), 3u);
    const std::string broken = call.substr(0, 11) + "no call" + "</tool_call>";
    EXPECT_EQ(parse_all(format, call + broken + " b").content, broken + " b");
  }
}

// ---- what only looks like a call ------------------------------------------------------------

TEST(ToolCallsTest, WhatOnlyLooksLikeACall) {
  const std::string plain = "<function=g>\n<parameter=text>\nx\n</parameter>\n</function>";
  const std::string hermes = "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
  const std::pair<ToolFormat, std::string> cases[] = {
      {ToolFormat::qwen3_coder, "Here is how: `<function=name>` is the tag. Bye"},
      {ToolFormat::qwen3_coder, "Here is how: <function=g> is the tag. Bye"},
      {ToolFormat::qwen3_coder, "```xml\n" + plain + "\n```\nThat is the form."},
      {ToolFormat::qwen3_coder, plain},
      {ToolFormat::qwen3_coder, "```xml\n" + call_of("x") + "\n```\nThat is the form."},
      {ToolFormat::qwen3_coder, "~~~~\n```\n" + call_of("x") + "\n```\n~~~~"},
      {ToolFormat::qwen3_coder, "`" + call_of("x") + "`"},
      {ToolFormat::qwen3_coder, "<tool_call>\n<function=nobody>\n</function>\n</tool_call>"},
      {ToolFormat::qwen3_coder, "<tool_call>\n<function=g>\n<parameter=text>\nnever ends"},
      {ToolFormat::qwen3_coder, "<tool_call>\n<function=g>\nwords\n</function>\n</tool_call>"},
      {ToolFormat::qwen3_coder,
       "<tool_call>\n<function=g>\n<parameter=text>\na\n</parameter>\n<parameter=text>\nb\n"
       "</parameter>\n</function>\n</tool_call>"},
      {ToolFormat::hermes, "Use `<tool_call>` to call."},
      {ToolFormat::hermes, "Use <tool_call> to call, and </tool_call>."},
      {ToolFormat::hermes, "```json\n" + hermes + "\n```\nThat is the form."},
      {ToolFormat::hermes, "`" + hermes + "`"},
      {ToolFormat::hermes, "<tool_call>\n{\"name\": \"nobody\", \"arguments\": {}}\n</tool_call>"},
      {ToolFormat::hermes, "<tool_call>\n{\"name\": \"g\", \"arguments\": [1]}\n</tool_call>"},
      {ToolFormat::hermes, "<tool_call>\n{\"name\": \"g\", \"arguments\": \"x\"}\n</tool_call>"},
      {ToolFormat::hermes, "<tool_call>\n{\"name\": \"g\", \"arguments\": {}"},
      {ToolFormat::hermes, "{\"name\": \"g\", \"arguments\": {}}"}};
  for (const auto& [format, text] : cases) {
    const ToolDelta got = parse_all(format, text);
    EXPECT_TRUE(got.calls.empty()) << text;
    EXPECT_EQ(got.content, text);
  }
}

TEST(ToolCallsTest, CallsBesideQuotes) {
  const std::string hermes = "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
  const std::string coder = call_of("x");
  for (const auto& [format, call] :
       {std::pair{ToolFormat::hermes, hermes}, {ToolFormat::qwen3_coder, coder}}) {
    for (const std::string before : {"The tag `<tool_call>` opens it.\n",
                                     "A stray ` tick.\n",
                                     "```\ncode\n```\n",
                                     "```\n<tool_call>\n```\n",
                                     "`a` ",
                                     "Use <tool_call> so:\n",
                                     "```python\nprint(1)\n"}) {  // never closed: no quote
      const ToolDelta got = parse_all(format, before + call);
      EXPECT_EQ(got.calls.size(), 1u) << before;
      EXPECT_EQ(got.content, before);
    }
  }
}

TEST(ToolCallsTest, HermesArgumentsKeepTheirDigits) {
  const std::string digits(400, '7');
  const ToolDelta got = parse_all(
      ToolFormat::hermes,
      "<tool_call>{\"arguments\":{\"a\":1e22,\"b\":[12345678901234567890123,0.10],\"c\":" + digits +
          ",\"d\":\"\\u00e9</tool_call>\"},\"name\":\"g\"}</tool_call>");
  ASSERT_EQ(got.calls.size(), 1u);
  EXPECT_EQ(got.calls[0].arguments,
            "{\"a\": 1e22, \"b\": [12345678901234567890123, 0.10], \"c\": " + digits +
                ", \"d\": \"é</tool_call>\"}");
}

}  // namespace
}  // namespace qwen3
