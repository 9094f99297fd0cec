// Whatever a model writes under the grammar of its tools is read as calls whose arguments obey the schemas, in
// both formats.
#include "server/api/tool_grammar.h"

#include <algorithm>
#include <array>
#include <random>

#include "engine/constrained_answer.h"
#include "server/api/fixture.h"
#include "server/api/tool_choice.h"

namespace qwen3::server {
namespace {

Json tool(const std::string& name, const char* parameters, bool strict = true) {
  return {
      {"type", "function"},
      {"function", {{"name", name}, {"strict", strict}, {"parameters", Json::parse(parameters)}}}};
}

const Json& tools() {
  static const Json all{
      tool("write_file", R"({"type": "object", "required": ["path", "text"], "properties":
        {"path": {"type": "string", "pattern": "^[a-z/]{1,8}$"}, "text": {"type": "string", "maxLength": 12},
         "mode": {"type": "integer", "minimum": 0, "maximum": 511}, "force": {"type": "boolean"}}})"),
      tool("pick", R"({"type": "object", "required": ["one"], "properties":
        {"one": {"enum": ["a", "b\n</parameter>", "5"]}, "maybe": {"type": ["string", "null"], "maxLength": 4},
         "list": {"type": "array", "items": {"type": "integer", "maximum": 99, "minimum": 0}, "maxItems": 3}}})"),
      tool("none", R"({"type": "object", "properties": {}})"),
      tool(
          "either",
          R"({"anyOf": [{"type": "object", "properties": {"x": {"type": "number", "minimum": 0, "maximum": 9}},
        "required": ["x"]}, {"type": "object", "properties": {"y": {"const": "yes"}}, "required": ["y"]}]})")};
  return all;
}

const Json& schema_of(const std::string& name) {
  for (const Json& one : tools()) {
    if (one["function"]["name"] == name) return one["function"]["parameters"];
  }
  throw std::runtime_error("no tool " + name);
}

class ApiToolGrammar : public ApiTest {
 protected:
  const ServedModel& model() { return *service->loaded(); }

  // An answer of tokens drawn from what is allowed, as often as not one that ends something.
  std::string random_answer(const SteeringPlan& plan, std::mt19937& random, int most) {
    ConstrainedAnswer answer(
        make_steering(plan), {.vocab_size = 2560, .n_real_tokens = 2560, .eos_ids = {kEnd}}, {});
    std::vector<int32_t> made;
    while (std::ssize(made) < most) {
      const AllowedTokens& allowed = answer.allowed();
      const int32_t id = draw(allowed, random);
      if (id == kEnd) return nano_text().decode(made);
      made.push_back(id);
      if (answer.accept(id)) return nano_text().decode(made);
    }
    return "";
  }

  static int32_t draw(const AllowedTokens& allowed, std::mt19937& random) {
    if (random() % 2 == 0) {
      for (const char* text : {"\"", "}", "]", "\n", "</", "parameter", "function", ">"}) {
        const int32_t id = nano_text().encode(text).front();
        if (allowed.has(id)) return id;
      }
      if (allowed.has(kEnd)) return kEnd;
    }
    std::vector<int32_t> ids;
    for (int32_t id = 0; id < 2560; ++id) {
      if (allowed.has(id)) ids.push_back(id);
    }
    EXPECT_FALSE(ids.empty());
    return ids.empty() ? kEnd : ids[random() % ids.size()];
  }

  static constexpr int32_t kEnd = ScriptedGenerator::kEnd;
};

TEST_F(ApiToolGrammar, EveryAnswerIsCallsThatObey) {
  std::mt19937 random(17);
  for (const ToolFormat format : {ToolFormat::hermes, ToolFormat::qwen3_coder}) {
    restart({.model_names = {"nano"}, .tool_format = format});
    for (const bool single : {true, false}) {
      SteeringPlan plan = plan_steering(model(), PromptState::thinking_is_over, {});
      const ToolUse use{.tools = tools(),
                        .required = true,
                        .names = declared_functions(tools()),
                        .single = single};
      EXPECT_TRUE(hold_to_tools(plan, model(), use, {}).empty());
      std::map<std::string, int> n_calls;
      for (int i = 0; i < 200; ++i) {
        const std::string text = random_answer(plan, random, 2000);
        if (text.empty()) continue;  // it had not ended
        const ToolDelta delta = parse_tool_calls(format, text, tools());
        ASSERT_EQ(delta.content, "") << text;
        ASSERT_FALSE(delta.calls.empty()) << text;
        if (single) {
          ASSERT_EQ(delta.calls.size(), 1u) << text;
        }
        for (const ToolCall& call : delta.calls) {
          ++n_calls[call.name];
          ASSERT_EQ(match_bytes(*compile_json_schema(schema_of(call.name)), call.arguments),
                    Membership::whole)
              << text << "\n"
              << call.arguments;
        }
      }
      EXPECT_EQ(n_calls.size(), 4u);
    }
  }
}

TEST_F(ApiToolGrammar, AnAnswerOrCalls) {
  SteeringPlan plan = plan_steering(model(), PromptState::thinking_is_over, {});
  const AnswerFormat format{.kind = AnswerFormat::Kind::regex, .param = "x", .text = "[0-9]{3}"};
  hold_to_tools(plan, model(), {.tools = tools(), .names = {"none"}}, format);
  EXPECT_EQ(match_bytes(*plan.grammar, "123"), Membership::whole);
  EXPECT_EQ(match_bytes(*plan.grammar, "x"), Membership::no);
  std::mt19937 random(5);
  int n_calls = 0;
  for (int i = 0; i < 100; ++i) {
    const std::string text = random_answer(plan, random, 2000);
    n_calls += text.starts_with("<tool_call>");
    EXPECT_TRUE(text.size() == 3 || text.starts_with("<tool_call>")) << text;
  }
  EXPECT_GT(n_calls, 5);
}

// What is not enforced is dropped, and nothing else; "strict" refuses it.
TEST_F(ApiToolGrammar, WhatCannotBeEnforcedIsDroppedUnlessStrict) {
  const char* schema = R"({"type": "object", "required": ["a"], "properties":
      {"a": {"type": "string", "maxLength": 3}, "b": {"uniqueItems": true}}})";
  Json list{tool("f", schema, false)};
  SteeringPlan plan = plan_steering(model(), PromptState::thinking_is_over, {});
  const ToolUse use{.tools = list, .required = true, .names = {"f"}};
  EXPECT_EQ(hold_to_tools(plan, model(), use, {}), std::vector<std::string>{"f"});
  const Json choice{{"type", "function"}, {"function", {{"name", "f"}}}};
  say(R"({"a": "abcd"})");
  const Reply kept = chat({{"tools", list}, {"tool_choice", choice}});
  ASSERT_EQ(kept.status, 200) << kept.text;
  EXPECT_EQ(kept.notes.at("relaxed_tools"), "f");
  say(R"({"a": "abcd"})");
  const Reply again = chat({{"tools", list}, {"tool_choice", choice}});
  EXPECT_EQ(again.notes.at("relaxed_tools"), "f") << "from the cache, too";
  const Json call = kept.json["choices"][0]["message"]["tool_calls"][0]["function"];
  const Json arguments = Json::parse(call["arguments"].get<std::string>());
  EXPECT_LE(arguments["a"].get<std::string>().size(), 3u) << "the rest of the schema still holds";
  list[0]["function"]["strict"] = true;
  const Reply refused = chat({{"tools", list}, {"tool_choice", choice}});
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.param(), "tools[0].function.parameters");
  EXPECT_EQ(refused.code(), "unsupported_schema");
  EXPECT_NE(refused.message().find("/properties/b/uniqueItems"), std::string::npos)
      << refused.message();
}

TEST(WidenSchema, DropsNoMoreThanTheKeywordAndNeverNarrows) {
  const auto widened = [](const char* text, std::string_view place) {
    Json schema = Json::parse(text);
    return widen_schema(schema, place) ? schema.dump() : "nothing";
  };
  EXPECT_EQ(widened(R"({"properties":{"a":{"x":1,"y":2}}})", "/properties/a/x"),
            R"({"properties":{"a":{"y":2}}})");
  EXPECT_EQ(widened(R"({"properties":{"a":{"x":1}}})", "/properties/a"),
            R"({"properties":{"a":true}})");
  EXPECT_EQ(widened(R"({"properties":{"not":{"x":1}}})", "/properties/not/x"),
            R"({"properties":{"not":{}}})")
      << "a name, not a keyword";
  EXPECT_EQ(widened(R"({"not":{"x":1},"y":2})", "/not/x"), R"({"y":2})");
  EXPECT_EQ(widened(R"({"oneOf":[{"x":1},{}],"y":2})", "/oneOf/0/x"), R"({"y":2})");
  EXPECT_EQ(widened(R"({"anyOf":[{"x":1},{}]})", "/anyOf/0"), R"({"anyOf":[true,{}]})");
  EXPECT_EQ(widened(R"({"additionalProperties":{"x":1}})", "/additionalProperties"),
            R"({"additionalProperties":true})");
  EXPECT_EQ(widened(R"({"a~1b":{"x/y":1}})", "/a~01b/x~1y"), R"({"a~1b":{}})");
  EXPECT_EQ(widened(R"({"a":1})", "/b"), "nothing");
  EXPECT_EQ(widened(R"({"a":1})", ""), "nothing");
}

}  // namespace
}  // namespace qwen3::server
