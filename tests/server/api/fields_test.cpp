// Every field that clients are known to send is read, or refused by its name: none is unknown.
#include <gmock/gmock.h>

#include <map>

#include "server/api/fixture.h"

namespace qwen3::server {
namespace {

using ApiFields = ApiTest;

const Json kTools = weather_tools();

TEST_F(ApiFields, ChatKnowsThemAll) {
  say("Hello");
  const std::map<std::string, Json> accepted{{"max_tokens", 5},
                                             {"max_completion_tokens", 5},
                                             {"n_predict", 5},
                                             {"stop", "x"},
                                             {"n", 2},
                                             {"seed", 7},
                                             {"temperature", 0.5},
                                             {"top_p", 0.9},
                                             {"presence_penalty", 0.1},
                                             {"frequency_penalty", 0.1},
                                             {"logit_bias", {{"5", 1}}},
                                             {"logprobs", true},
                                             {"tools", kTools},
                                             {"tool_choice", "none"},
                                             {"parallel_tool_calls", false},
                                             {"response_format", {{"type", "text"}}},
                                             {"stream", false},
                                             {"user", "u"},
                                             {"metadata", {{"a", "b"}}},
                                             {"store", false},
                                             {"service_tier", "auto"},
                                             {"prompt_cache_key", "k"},
                                             {"safety_identifier", "s"},
                                             {"verbosity", "low"},
                                             {"modalities", {"text"}},
                                             {"top_k", 5},
                                             {"min_p", 0.1},
                                             {"repetition_penalty", 1.1},
                                             {"repeat_penalty", 1.1},
                                             {"chat_template_kwargs", {{"enable_thinking", false}}},
                                             {"enable_thinking", false},
                                             {"stop_token_ids", {5}},
                                             {"ignore_eos", false},
                                             {"min_tokens", 1},
                                             {"skip_special_tokens", false},
                                             {"spaces_between_special_tokens", true},
                                             {"include_stop_str_in_output", true},
                                             {"add_generation_prompt", true},
                                             {"continue_final_message", false},
                                             {"prompt_logprobs", 1},
                                             {"return_token_ids", true},
                                             {"cache_salt", "s"},
                                             {"priority", 1},
                                             {"thinking_token_budget", 10},
                                             {"thinking_budget", 10},
                                             {"include_reasoning", false},
                                             {"reasoning_effort", "low"},
                                             {"cache_prompt", true},
                                             {"timings_per_token", true},
                                             {"return_progress", false},
                                             {"loop_guard", false},
                                             {"trace", false}};
  for (const auto& [name, value] : accepted) {
    const Reply reply = chat({{name, value}});
    EXPECT_EQ(reply.status, 200) << name << reply.text;
    EXPECT_FALSE(reply.notes.contains("ignored_fields")) << name;
    EXPECT_EQ(chat({{name, nullptr}}).status, 200) << name << ": null means absent";
  }
  EXPECT_EQ(chat({{"logprobs", true}, {"top_logprobs", 2}}).status, 200);
  EXPECT_EQ(chat({{"stream", true}, {"stream_options", {{"include_usage", true}}}}).status, 200);
  EXPECT_EQ(chat({{"no_such_field", 1}}).notes["ignored_fields"], "no_such_field");
}

TEST_F(ApiFields, WhatCannotBeDoneIsRefusedByName) {
  const std::map<std::string, Json> refused{{"stop_regex", "a"},
                                            {"chat_template", "{{ 1 }}"},
                                            {"functions", Json::array({Json::object()})},
                                            {"use_beam_search", true},
                                            {"best_of", 2},
                                            {"truncate_prompt_tokens", 5}};
  for (const auto& [name, value] : refused) {
    const Reply reply = chat({{name, value}});
    ASSERT_EQ(reply.status, 400) << name << reply.text;
    EXPECT_EQ(reply.param(), name);
    EXPECT_EQ(reply.code(), "unsupported_parameter") << name;
    EXPECT_EQ(reply.json["error"]["type"], "invalid_request_error");
  }
  EXPECT_TRUE(generator->requests.empty());
}

// A variable that the template reads acts; others are refused.
TEST_F(ApiFields, TemplateVariables) {
  for (const char* name : {"preserve_thinking", "message", "ns", "namespace", "loop"}) {
    const Reply reply = chat({{"chat_template_kwargs", {{name, true}}}});
    EXPECT_EQ(reply.status, 400) << name;
    EXPECT_EQ(reply.param(), std::string("chat_template_kwargs.") + name);
  }
  say("x");
  EXPECT_EQ(chat({{"chat_template_kwargs", {{"unknown", nullptr}}}}).status, 200);
  EXPECT_EQ(chat({{"chat_template_kwargs", {{"thinking_budget", 5}}}}).status, 200);
  const auto prompt_of = [&](const std::string& source, const Json& more) {
    const_cast<ChatConfig&>(chat_config_of(service->loaded()->text)).chat =
        ChatTemplate::parse(source, "t");
    Json asked{{"messages", {{{"role", "user"}, {"content", "a"}}}}};
    asked.update(more);
    const Reply reply = post("/apply-template", asked);
    return reply.status == 200 ? reply.json["prompt"].get<std::string>() : reply.message();
  };
  const auto kwargs = [](const Json& variables) {
    return Json{{"chat_template_kwargs", variables}};
  };
  for (const Json& value : {Json(true), Json(2), Json(2.5), Json("two")}) {
    EXPECT_THAT(prompt_of("{{ custom | tojson }}", kwargs({{"custom", value}})), value.dump());
  }
  const std::string custom = "{{ custom }}";
  for (const Json& value : {Json{{"a", 1}}, Json{1, 2}, Json(std::string(1025, 'x'))}) {
    EXPECT_THAT(prompt_of(custom, kwargs({{"custom", value}})),
                testing::StartsWith("chat_template_kwargs.custom: expected"));
  }
  // What the template reads is named, but not what is nobody's to set.
  const std::string three = "{{ b }}{{ messages }}{{ eos_token }}{% set c = 1 %}{{ c }}{{ a }}";
  EXPECT_THAT(prompt_of(three, kwargs({{"c", 1}})), testing::EndsWith("it reads a, b"));
  EXPECT_THAT(prompt_of(three, kwargs({{"eos_token", "x"}})),
              testing::EndsWith("is not a variable that a request may set"));
  EXPECT_EQ(prompt_of("{% set deep = deep | default(1) %}{{ deep }}", kwargs({{"deep", 2}})), "2");
  // One switch, two names.
  for (const char* name : {"thinking", "enable_thinking"}) {
    const std::string source = std::string("{{ ") + name + " }}";
    EXPECT_EQ(prompt_of(source, kwargs({{"thinking", true}})), "True");
    EXPECT_EQ(prompt_of(source, kwargs({{"enable_thinking", false}})), "False");
    EXPECT_EQ(prompt_of(source, {{"enable_thinking", true}}), "True");
    EXPECT_EQ(prompt_of(source, {{"reasoning_effort", "none"}}), "False");
    Json both = kwargs({{"thinking", true}});
    both["enable_thinking"] = false;
    EXPECT_EQ(prompt_of(source, both), "True");
  }
  EXPECT_EQ(prompt_of("{{ reasoning_effort }}", {{"reasoning_effort", "high"}}), "high");
  EXPECT_EQ(prompt_of("x", {{"reasoning_effort", "high"}}), "x");
  EXPECT_TRUE(prompt_of("x", kwargs({{"thinking", true}})).starts_with("chat_template_kwargs.t"));
  EXPECT_TRUE(prompt_of("x", {{"enable_thinking", false}}).starts_with("enable_thinking: "));
}

// The server's variables lie below the request's, by either name of the switch.
TEST_F(ApiFields, TheServersTemplateVariables) {
  const auto prompt_of = [&](const Json& more) {
    Json asked{{"messages", {{{"role", "user"}, {"content", "a"}}}}};
    asked.update(more);
    return post("/apply-template", asked).json["prompt"].get<std::string>();
  };
  const std::string on = prompt_of({{"enable_thinking", true}});
  const std::string off = prompt_of({{"enable_thinking", false}});
  ASSERT_NE(on, off);
  restart({.model_names = {"nano"}, .default_template_kwargs = R"({"enable_thinking":false})"});
  EXPECT_EQ(prompt_of(Json::object()), off);
  EXPECT_EQ(prompt_of({{"enable_thinking", true}}), on);
  EXPECT_EQ(prompt_of({{"chat_template_kwargs", {{"enable_thinking", true}}}}), on);
  for (const char* wrong : {"[]",
                            R"({"messages":1})",
                            R"({"nothing":1})",
                            R"({"bos_token":"x"})",
                            R"({"enable_thinking":[]})",
                            "{"}) {
    EXPECT_THROW(restart({.model_names = {"nano"}, .default_template_kwargs = wrong}), Error)
        << wrong;
  }
  restart({.model_names = {"nano"}});
}

// -1 is no limit, by every name; --default-max-tokens is for requests that say nothing.
TEST_F(ApiFields, MinusOneIsNoLimit) {
  restart({.model_names = {"nano"}, .default_max_tokens = 7});
  say("x");
  const auto asked = [&] {
    const Request& last = generator->requests.back();
    return last.sampling.max_tokens + static_cast<int64_t>(last.prompt_ids.size());
  };
  for (const char* name : {"max_tokens", "max_completion_tokens", "n_predict"}) {
    for (const Json& value : {Json(-1), Json(-1.0)}) {
      EXPECT_EQ(chat({{name, value}}).status, 200) << name;
      EXPECT_EQ(asked(), 2048) << name;
      EXPECT_EQ(complete({{name, value}}).status, 200) << name;
      EXPECT_EQ(asked(), 2048) << name;
    }
    EXPECT_EQ(chat({{name, -2}}).param(), name);
    EXPECT_EQ(chat({{name, 0}}).param(), name);
    EXPECT_EQ(complete({{name, -2}}).param(), name);
  }
  EXPECT_EQ(chat().status, 200);
  EXPECT_EQ(generator->requests.back().sampling.max_tokens, 7);
  EXPECT_EQ(chat({{"max_completion_tokens", -1}, {"max_tokens", 5}}).status, 200);
  EXPECT_EQ(asked(), 2048);
}

TEST_F(ApiFields, PlainCompletions) {
  say("one two three four five six seven eight nine ten eleven twelve thirteen fourteen");
  ASSERT_EQ(complete({{"n_predict", -1}}).status, 200);
  const Request& r = generator->requests.at(0);
  EXPECT_EQ(r.sampling.max_tokens, 2048 - static_cast<int64_t>(r.prompt_ids.size()));
  complete();
  EXPECT_EQ(generator->requests.at(1).sampling.max_tokens, 16);
  EXPECT_EQ(complete({{"n_predict", -2}}).param(), "n_predict");
  // nano's tokenizer has none to add.
  EXPECT_EQ(complete({{"add_special_tokens", true}}).status, 200);
  for (const char* name : {"thinking_token_budget", "thinking_budget", "reasoning_budget"}) {
    for (const Json& value : {Json(-2), Json("5"), Json(1.5), Json(true)}) {
      EXPECT_EQ(complete({{name, value}}).param(), name) << value;
    }
    EXPECT_EQ(complete({{name, -1}}).status, 200);
  }
  // It is kept where the prompt leaves the answer inside a thought, and says nothing elsewhere.
  say(" and so on and so on and so on");
  const auto text = [&](const std::string& prompt) {
    const Reply reply = complete({{"prompt", prompt},
                                  {"thinking_token_budget", 2},
                                  {"max_tokens", 60},
                                  {"skip_special_tokens", false}});
    return reply.json["choices"][0]["text"].get<std::string>();
  };
  EXPECT_TRUE(text("<think>\nwell").starts_with(" and\n</think>"));
  EXPECT_EQ(text("<think></think>").find("</think>"), std::string::npos);
  EXPECT_EQ(text("a").find("</think>"), std::string::npos);
}

// Tool choices of every kind, as LangChain and Qwen-Agent send them.
TEST_F(ApiFields, ToolChoices) {
  say("Hello");
  const Json named{{"type", "function"}, {"function", {{"name", "add"}}}};
  for (const Json& choice : {Json("none"), Json("auto"), Json("required"), named}) {
    EXPECT_EQ(chat({{"tools", kTools}, {"tool_choice", choice}, {"max_tokens", 30}}).status, 200)
        << choice;
  }
  EXPECT_EQ(chat({{"tool_choice", "none"}}).status, 200);
  EXPECT_EQ(chat({{"tool_choice", "auto"}}).status, 200);
  EXPECT_EQ(chat({{"tools", kTools}, {"tool_choice", "any"}}).param(), "tool_choice");
}

}  // namespace
}  // namespace qwen3::server
