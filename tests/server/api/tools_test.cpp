// What tool_choice promises: calls of declared functions with arguments that are an object, after
// the thought, whole or not at all; and what the answer says when that fails.
#include <random>
#include <set>

#include "server/api/fixture.h"
#include "server/api/tool_choice.h"

namespace qwen3::server {
namespace {

constexpr std::string_view kHermesCall =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln <b>\"}}\n"
    "</tool_call>";
constexpr std::string_view kCoderCall =
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nKöln\n</parameter>\n</function>\n"
    "</tool_call>";

Json named(const std::string& name) {
  return {{"type", "function"}, {"function", {{"name", name}}}};
}

Json tools_named(const std::vector<std::string>& names) {
  Json tools = Json::array();
  for (const std::string& name : names) tools.push_back(named(name));
  return tools;
}

class ApiTools : public ApiTest {
 protected:
  // The same answer, whole and streamed.
  Joined ask(Json more, std::string* detail = nullptr) {
    if (!more.contains("tools")) more["tools"] = weather_tools();
    const Reply whole = chat(more);
    more["stream"] = true;
    const Reply streamed = chat(more);
    EXPECT_EQ(whole.status, 200) << whole.text;
    Joined joined = join_whole(whole.json);
    EXPECT_EQ(join_chunks(streamed.chunks), joined) << more;
    const std::string said = whole.json["choices"][0].value("finish_detail", "");
    EXPECT_EQ(streamed.chunks.back()["choices"][0].value("finish_detail", ""), said);
    if (detail != nullptr) *detail = said;
    return joined;
  }

  const ServedModel& model() { return *service->loaded(); }
};

TEST_F(ApiTools, ACallThatNeverCameIsNamed) {
  std::string detail;
  say(" {}}\n</tool_call>");
  ask({{"tool_choice", named("add")}, {"stop", "arguments"}}, &detail);
  EXPECT_EQ(detail, "tool_call_invalid");
  // A model that is free may leave it.
  say("no call");
  ask({{"tool_choice", "auto"}}, &detail);
  EXPECT_EQ(detail, "");
}

// No part of a call is shown as text, wherever max_tokens cuts it.
TEST_F(ApiTools, ACallThatIsCutIsNotShown) {
  for (const ToolFormat format : {ToolFormat::hermes, ToolFormat::qwen3_coder}) {
    restart({.model_names = {"nano"}, .tool_format = format});
    const bool hermes = format == ToolFormat::hermes;
    const std::string call(hermes ? kHermesCall : kCoderCall);
    for (const std::string before : {"", "Let me see.\n"}) {
      const auto n = static_cast<int64_t>(nano_text().encode(before + call).size());
      const auto n_before = static_cast<int64_t>(nano_text().encode(before).size());
      say(before + call);
      for (int64_t max_tokens = n_before + 1; max_tokens <= n; ++max_tokens) {
        const Joined got = ask({{"max_tokens", max_tokens}});
        EXPECT_EQ(got.content, got.calls.empty() ? before : before) << max_tokens;
        EXPECT_EQ(got.finish_reason, "length") << max_tokens;
        // Only a call whose text is complete but for the tag that ends it.
        EXPECT_LE(got.calls.size(), max_tokens >= n - 3 ? 1u : 0u) << max_tokens;
      }
    }
    say(hermes ? " {\"city\": \"Rome\"}}\n</tool_call>"
               : "<tool_call>\n<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n"
                 "</function>\n</tool_call>");
    for (const Json& choice : {Json("required"), named("get_weather")}) {
      for (int64_t max_tokens = 1; max_tokens < 20; ++max_tokens) {
        std::string detail;
        const Joined got = ask({{"tools", tools_named({"get_weather"})},
                                {"tool_choice", choice},
                                {"max_tokens", max_tokens}},
                               &detail);
        EXPECT_EQ(got.content, "") << max_tokens;
        if (!got.calls.empty()) break;
        EXPECT_EQ(got.finish_reason, "length") << max_tokens;
        EXPECT_EQ(detail, "");
      }
    }
  }
}

TEST_F(ApiTools, TextThatIsNoCallIsShownWhereverItIsCut) {
  for (const std::string text : {"if a <",
                                 "Write <tool_call>, then not json",
                                 "<tool_call>{\"name\": 1}</tool_call> was it"}) {
    generator->script = [ids = nano_text().encode_untrusted(text)](const Request&, size_t) {
      return ids;
    };
    const auto n = static_cast<int64_t>(nano_text().encode_untrusted(text).size());
    EXPECT_EQ(ask({{"max_tokens", n}}).content, text);
  }
  // Without tools there are no calls.
  say(std::string(kHermesCall));
  const Reply plain = chat({{"max_tokens", 9}});
  EXPECT_TRUE(plain.json["choices"][0]["message"]["content"].get<std::string>().starts_with(
      "<tool_call>\n{"));
}

TEST_F(ApiTools, ForcedCallsComeAfterTheThought) {
  say("<think>\nhm\n</think>\n\n {\"city\": \"Rome\"}}\n</tool_call>");
  for (const Json& choice : {Json("required"), named("get_weather")}) {
    for (const Json& thinking : {Json(true), Json(nullptr)}) {
      const Json more{{"tools", tools_named({"get_weather"})},
                      {"tool_choice", choice},
                      {"enable_thinking", thinking}};
      // The script's newlines after the thought are not what the steering allows there.
      generator->script = [](const Request&, size_t) {
        std::vector<int32_t> ids = nano_text().encode("<think>\nhm\n</think>");
        for (const int32_t id : nano_text().encode(" {\"city\": \"Rome\"}}\n</tool_call>")) {
          ids.push_back(id);
        }
        return ids;
      };
      const Joined got = ask(more);
      EXPECT_EQ(got.reasoning, "hm");
      ASSERT_EQ(got.calls.size(), 1u);
      EXPECT_EQ(got.calls[0]["arguments"], R"({"city": "Rome"})");
      EXPECT_EQ(got.content, "");
      EXPECT_EQ(got.finish_reason, "tool_calls");
    }
  }
}

TEST_F(ApiTools, ABudgetEndsTheThoughtBeforeAForcedCall) {
  generator->script = [](const Request&, size_t) {
    std::vector<int32_t> ids = nano_text().encode("<think>\n1 2 3 4 5 6 7 8 9");
    ids.resize(6);  // <think> and five tokens
    for (const int32_t id : nano_text().encode(" {}}\n</tool_call>")) ids.push_back(id);
    return ids;
  };
  const Json more{{"tools", tools_named({"f"})}, {"tool_choice", "required"}};
  Json budget = more;
  budget["thinking_token_budget"] = 5;
  const Joined got = ask(budget);
  EXPECT_TRUE(got.reasoning.starts_with("1")) << got.reasoning;
  ASSERT_EQ(got.calls.size(), 1u);
  EXPECT_EQ(got.calls[0]["name"], "f");
  Json cut = more;
  cut["max_tokens"] = 4;
  std::string detail;
  const Joined inside = ask(cut, &detail);
  EXPECT_EQ(inside.finish_reason, "length");
  EXPECT_EQ(inside.content, "");
  EXPECT_TRUE(inside.calls.empty());
  EXPECT_EQ(detail, "");
  budget["n"] = 3;
  const Reply several = chat(budget);
  for (const Json& choice : several.json["choices"]) {
    EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["name"], "f") << several.text;
  }
}

// Between the tags lie at most as many tokens as the budget has, the closing sentence included.
TEST_F(ApiTools, ABudgetIsTheNumberOfTokensBetweenTheTags) {
  std::string thought = "<think>";
  for (int i = 0; i < 400; ++i) thought += " word";
  say(thought);
  const int32_t open = model().think_open, close = model().think_close;
  for (const int64_t budget : {0, 1, 2, 30, 37, 60, 73, 74, 75, 100, 200}) {
    for (const bool completion : {false, true}) {
      const Json more{{"thinking_token_budget", budget},
                      {"max_tokens", 300},
                      {"return_token_ids", true},
                      {"skip_special_tokens", false}};
      const Reply reply = completion ? complete(more) : chat(more);
      ASSERT_EQ(reply.status, 200) << reply.text;
      const std::vector<int32_t> ids = reply.json["choices"][0]["token_ids"];
      ASSERT_EQ(ids.front(), open);
      const auto end = std::ranges::find(ids, close);
      ASSERT_NE(end, ids.end());
      EXPECT_EQ(end - ids.begin() - 1, budget) << budget;
    }
  }
}

}  // namespace
}  // namespace qwen3::server
