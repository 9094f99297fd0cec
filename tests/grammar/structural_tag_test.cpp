// Structural tags: what each format allows, by texts, and that added tokens may stand for words.
#include <gtest/gtest.h>

#include "grammar/notations.h"
#include "grammar/support.h"

namespace qwen3 {
namespace {

GrammarPtr compile_tag(const std::string& tag) {
  GrammarBuilder builder;
  return builder.build(structural_tag_expression(builder, parse_json(tag, "tag"), *nano_trie()));
}

void expect_tag(const std::string& tag,
                const std::vector<std::string>& valid,
                const std::vector<std::string>& invalid) {
  SCOPED_TRACE(tag);
  const GrammarPtr grammar = compile_tag(tag);
  for (const std::string& text : valid) EXPECT_TRUE(matches(grammar, text)) << text;
  for (const std::string& text : invalid) EXPECT_FALSE(matches(grammar, text)) << text;
}

void expect_format(const std::string& format,
                   const std::vector<std::string>& valid,
                   const std::vector<std::string>& invalid) {
  expect_tag(R"({"type": "structural_tag", "format": )" + format + "}", valid, invalid);
}

void expect_tag_refused(const std::string& format, GrammarFault fault, const std::string& place) {
  SCOPED_TRACE(format);
  try {
    compile_tag(R"({"format": )" + format + "}");
    ADD_FAILURE() << "not refused";
  } catch (const GrammarError& e) {
    EXPECT_EQ(fault_name(e.fault()), fault_name(fault)) << e.what();
    EXPECT_EQ(e.place(), place) << e.what();
  }
}

TEST(StructuralTag, OldForm) {
  expect_tag(R"({"type": "structural_tag", "triggers": ["<function="], "structures": [
      {"begin": "<function=a>", "schema": {"type": "object", "properties": {"x": {"type": "integer"}},
       "required": ["x"]}, "end": "</function>"},
      {"begin": "<function=b>", "schema": {"const": 1}, "end": "</function>"}]})",
             {"",
              "free text < and <func",
              R"(<function=a>{"x": 1}</function>)",
              R"(see: <function=b>1</function> and <function=a>{"x":2}</function>.)"},
             {"<function=",
              "<function=c>1</function>",
              R"(<function=a>{"x": "1"}</function>)",
              R"(<function=b>1)"});
}

TEST(StructuralTag, ClosedFormats) {
  expect_format(R"({"type": "const_string", "value": "yes <x>"})", {"yes <x>"}, {"", "yes"});
  expect_format(R"({"type": "regex", "pattern": "[a-c]{2}"})", {"ab"}, {"a", "abc"});
  expect_format(
      R"({"type": "grammar", "grammar": "root ::= \"a\" root | \"b\""})", {"b", "aab"}, {"a"});
  expect_format(R"({"type": "json_schema", "json_schema": {"type": "boolean"}})", {"true"}, {"1"});
  expect_format(R"({"type": "sequence", "elements": [{"type": "const_string", "value": "a"},
                    {"type": "optional", "content": {"type": "const_string", "value": "b"}},
                    {"type": "repeat", "min": 1, "max": 2, "content": {"type": "const_string", "value": "c"}}]})",
                {"ac", "abc", "abcc"},
                {"ab", "abccc"});
  expect_format(
      R"({"type": "or", "elements": [{"type": "plus", "content": {"type": "const_string", "value": "a"}},
                    {"type": "star", "content": {"type": "const_string", "value": "b"}}]})",
      {"", "a", "aa", "bb"},
      {"ab"});
}

TEST(StructuralTag, TagsEndWhereTheirEndFirstComes) {
  expect_format(
      R"({"type": "tag", "begin": "<t>", "content": {"type": "any_text"}, "end": "</t>"})",
      {"<t></t>", "<t>a < b </ t</t>"},
      {"<t>a</t>b</t>", "<t>a", "a</t>"});
  expect_format(
      R"({"type": "tag", "begin": "<t>", "content": {"type": "any_text", "max_chars": 2, "excludes": ["x"]},
                    "end": ["</t>", "!"]})",
      {"<t>ab</t>", "<t>a!"},
      {"<t>abc</t>", "<t>x</t>"});
  expect_format(R"({"type": "sequence", "elements": [
      {"type": "tag", "begin": "<t>", "content": {"type": "sequence", "elements": [
         {"type": "const_string", "value": "n:"}, {"type": "any_text"}]}, "end": "</t>"},
      {"type": "json_schema", "json_schema": {"type": "integer"}}]})",
                {"<t>n: x</t>12"},
                {"<t>n: x</t>", "<t>n:x</t>y</t>1"});
}

TEST(StructuralTag, TriggeredTags) {
  const std::string tags = R"("triggers": ["<f="], "excludes": ["bad"], "tags": [
      {"type": "tag", "begin": "<f=a>", "content": {"type": "regex", "pattern": "[0-9]+"}, "end": "</f>"}])";
  expect_format(R"({"type": "triggered_tags", )" + tags + "}",
                {"", "text", "<f=a>1</f>", "x<f=a>1</f>y<f=a>2</f>"},
                {"bad", "x<f=b>", "<f=a>x</f>"});
  expect_format(R"({"type": "triggered_tags", "at_least_one": true, )" + tags + "}",
                {"<f=a>1</f>", "<f=a>1</f>y<f=a>2</f>"},
                {"", "x<f=a>1</f>"});
  expect_format(R"({"type": "triggered_tags", "stop_after_first": true, )" + tags + "}",
                {"", "text", "x<f=a>1</f>"},
                {"<f=a>1</f>y"});
  expect_format(R"({"type": "tag", "begin": "[", "content": {"type": "triggered_tags", )" + tags +
                    R"(}, "end": "]"})",
                {"[]", "[x<f=a>1</f>y]"},
                {"[", "[]]"});
}

TEST(StructuralTag, TagsWithSeparator) {
  const std::string tags = R"("separator": ",", "tags": [
      {"type": "tag", "begin": "<", "content": {"type": "regex", "pattern": "[a-z]"}, "end": ">"}])";
  expect_format(R"({"type": "tags_with_separator", )" + tags + "}",
                {"", "<a>", "<a>,<b>"},
                {"<a>,", "<a><b>"});
  expect_format(
      R"({"type": "tags_with_separator", "at_least_one": true, "stop_after_first": true, )" + tags +
          "}",
      {"<a>"},
      {"", "<a>,<b>"});
}

TEST(StructuralTag, AddedTokensStandForWords) {
  const GrammarPtr grammar =
      compile_tag(R"({"format": {"type": "triggered_tags", "triggers": ["<tool_call>"], "tags": [
      {"type": "tag", "begin": "<tool_call>\n", "content": {"type": "regex", "pattern": "[0-9]"}, "end": "\n</tool_call>"}]}})");
  EXPECT_TRUE(matches(grammar, "a<tool_call>\n1\n</tool_call>"));
  const auto answer = start_grammar(grammar, nano_trie());
  const auto open = nano_trie()->added_token("<tool_call>");
  ASSERT_TRUE(open);
  for (const int32_t id : nano_tokenizer().encode("Hello", ControlTokens::as_text))
    answer->accept(id);
  answer->accept(*open);
  EXPECT_FALSE(answer->may_end());
  for (const int32_t id : nano_tokenizer().encode("\n1\n", ControlTokens::as_text))
    answer->accept(id);
  answer->accept(*nano_trie()->added_token("</tool_call>"));
  EXPECT_TRUE(answer->may_end());
}

TEST(StructuralTag, RefusesByPlace) {
  const auto invalid = GrammarFault::invalid_grammar;
  const auto unsupported = GrammarFault::unsupported_grammar;
  expect_tag_refused("5", invalid, "/format");
  expect_tag_refused(R"({"type": "nothing"})", invalid, "/format");
  expect_tag_refused(R"({"type": "tag", "begin": "a", "end": "b"})", invalid, "/format");
  expect_tag_refused(R"({"type": "sequence", "elements": [{"type": "any_tokens"}]})",
                     unsupported,
                     "/format/elements/0");
  expect_tag_refused(R"({"type": "json_schema", "json_schema": {}, "style": "glm_xml"})",
                     unsupported,
                     "/format/style");
  expect_tag_refused(
      R"({"type": "json_schema", "json_schema": {"properties": {"a": {"type": "x"}}}})",
      GrammarFault::invalid_schema,
      "/format/json_schema/properties/a/type");
  expect_tag_refused(
      R"({"type": "regex", "pattern": "("})", GrammarFault::invalid_regex, "/format/pattern");
  expect_tag_refused(R"({"type": "triggered_tags", "triggers": ["<x"], "tags": [
      {"type": "tag", "begin": "<f", "content": {"type": "any_text"}, "end": ""}]})",
                     invalid,
                     "/format/tags/0");
  expect_tag_refused(R"({"type": "repeat", "min": -2, "max": 1, "content": {"type": "any_text"}})",
                     invalid,
                     "/format/min");
  EXPECT_THROW(compile_tag("{}"), GrammarError);
}

}  // namespace
}  // namespace qwen3
