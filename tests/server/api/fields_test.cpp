// Every field that clients are known to send is read, or refused by its name: none is unknown.
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
  const std::map<std::string, Json> refused{{"response_format", {{"type", "json_object"}}},
                                            {"guided_json", {{"type", "object"}}},
                                            {"guided_regex", "a"},
                                            {"guided_choice", {"a"}},
                                            {"guided_grammar", "g"},
                                            {"structured_outputs", {{"json", "{}"}}},
                                            {"grammar", "root ::= x"},
                                            {"json_schema", {{"type", "object"}}},
                                            {"regex", "a"},
                                            {"ebnf", "root ::= x"},
                                            {"stop_regex", "a"},
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

// Variables that a template does not know change nothing; those that it knows do.
TEST_F(ApiFields, TemplateVariables) {
  say("x");
  chat();
  const Json variables{{"preserve_thinking", true}, {"custom", {{"a", {1, nullptr}}}}};
  const Reply reply = chat({{"chat_template_kwargs", variables}});
  EXPECT_EQ(reply.status, 200) << reply.text;
  EXPECT_FALSE(reply.notes.contains("ignored_fields"));
  ASSERT_EQ(generator->requests.size(), 2u);
  EXPECT_EQ(generator->requests[0].prompt_ids, generator->requests[1].prompt_ids);
  const_cast<ChatConfig&>(chat_config_of(service->loaded()->text)).chat =
      ChatTemplate::parse("{{ custom.a[0] }}", "t");
  const Json asked{{"messages", {{{"role", "user"}, {"content", "a"}}}},
                   {"chat_template_kwargs", variables}};
  EXPECT_EQ(post("/apply-template", asked).json["prompt"], "1");
}

TEST_F(ApiFields, PlainCompletions) {
  say("one two three four five six seven eight nine ten eleven twelve thirteen fourteen");
  ASSERT_EQ(complete({{"n_predict", -1}}).status, 200);
  const Request& r = generator->requests.at(0);
  EXPECT_EQ(r.sampling.max_tokens, 2048 - static_cast<int64_t>(r.prompt_ids.size()));
  complete();
  EXPECT_EQ(generator->requests.at(1).sampling.max_tokens, 16);
  EXPECT_EQ(complete({{"n_predict", -2}}).param(), "n_predict");
  EXPECT_EQ(complete({{"max_tokens", -1}}).param(), "max_tokens");
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
  EXPECT_TRUE(text("<think>\nwell").starts_with(" and so</think>"));
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
