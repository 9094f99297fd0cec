// What is refused, and how: fields, messages and bodies by path, states of the service.
#include "server/api/fixture.h"

namespace qwen3::server {
namespace {

using ApiErrors = ApiTest;

TEST_F(ApiErrors, WhatTheServerCannotDoIsSaid) {
  const std::vector<Json> refused = {{{"chat_template", "{{ x }}"}},
                                     {{"prompt_embeds", "AAAA"}},
                                     {{"use_beam_search", true}},
                                     {{"bad_words", {"a"}}},
                                     {{"functions", {{{"name", "f"}}}}},
                                     {{"n", 2}, {"best_of", 3}}};
  for (const Json& more : refused) {
    const Reply reply = chat(more);
    EXPECT_EQ(reply.status, 400) << more;
    EXPECT_EQ(reply.code(), "unsupported_parameter") << reply.text;
    EXPECT_TRUE(reply.param().is_string());
  }
  say("x");
  for (const Json& more : {Json{{"response_format", {{"type", "text"}}}},
                           Json{{"grammar", ""}},
                           Json{{"guided_json", nullptr}},
                           Json{{"best_of", 1}},
                           Json{{"use_beam_search", false}},
                           Json{{"functions", Json::array()}}}) {
    EXPECT_EQ(chat(more).status, 200) << more;
  }
}

TEST_F(ApiErrors, TemplateVariablesThatTheRequestHasFieldsFor) {
  for (const char* name : {"tokenize",
                           "chat_template",
                           "messages",
                           "tools",
                           "documents",
                           "add_generation_prompt",
                           "continue_final_message"}) {
    const Reply reply = chat({{"chat_template_kwargs", {{name, true}}}});
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.param(), std::string("chat_template_kwargs.") + name);
  }
  EXPECT_EQ(chat({{"chat_template_kwargs", {{"enable_thinking", "no"}}}}).status, 400);
}

// Where the server keeps its files is nobody's business, whatever the library says.
TEST_F(ApiErrors, NoMessageBeginsWithAFile) {
  for (const char* file : {"/srv/models/q/chat_template.jinja",
                           "models/q/chat_template.jinja",
                           "./q/tokenizer_config.json",
                           "../q/config.json",
                           "my models/q/tokenizer.json",
                           "embedded:nano/chat_template.jinja",
                           "chat_template.jinja",
                           "/srv/a directory",
                           "q/model-00001-of-00002.safetensors"}) {
    for (const ErrorKind kind : {ErrorKind::invalid_argument,
                                 ErrorKind::corrupt_file,
                                 ErrorKind::unsupported,
                                 ErrorKind::busy,
                                 ErrorKind::not_found,
                                 ErrorKind::out_of_memory,
                                 ErrorKind::io,
                                 ErrorKind::device,
                                 ErrorKind::internal}) {
      const ApiError error = to_api_error(Error(kind, std::string(file) + ": line 3: is odd"));
      EXPECT_EQ(std::string_view(error.what()).find(file), std::string_view::npos) << file;
      EXPECT_EQ(error.param, "");
      EXPECT_NE(error.detail.find(file), std::string::npos) << "the log has it";
    }
  }
  const ApiError field = to_api_error(
      Error(ErrorKind::invalid_argument, "messages[0].content: expected a string, got 3"));
  EXPECT_EQ(field.param, "messages[0].content");
  EXPECT_STREQ(field.what(), "messages[0].content: expected a string, got 3");
  EXPECT_STREQ(to_api_error(Error(ErrorKind::invalid_argument,
                                  "Conversation roles must alternate user/assistant/user"))
                   .what(),
               "Conversation roles must alternate user/assistant/user");
}

TEST_F(ApiErrors, MessagesAndToolsAreCheckedByPath) {
  const auto param = [&](const Json& more) { return chat(more).param(); };
  EXPECT_EQ(param({{"messages", Json::array()}}), "messages");
  EXPECT_EQ(param({{"messages", "Hi"}}), "messages");
  EXPECT_EQ(param({{"messages", {{{"role", "wizard"}, {"content", "x"}}}}}), "messages[0].role");
  EXPECT_EQ(param({{"messages", {{{"role", "user"}}}}}), "messages[0].content");
  EXPECT_EQ(param({{"messages", {{{"role", "user"}, {"content", {{{"type", "image_url"}}}}}}}}),
            "messages[0].content[0].type");
  EXPECT_EQ(param({{"tools", {{{"type", "function"}}}}}), "tools[0].function");
  EXPECT_EQ(param({{"tools", {{{"type", "function"}, {"function", {{"name", "a b\"c"}}}}}}}),
            "tools[0].function.name");
  EXPECT_EQ(param({{"tools", {{{"type", "retrieval"}}}}}), "tools[0].type");
  EXPECT_EQ(param({{"tool_choice", "required"}}), "tool_choice");
  EXPECT_EQ(param({{"tools", weather_tools()}, {"tool_choice", "maybe"}}), "tool_choice");
  EXPECT_EQ(param({{"tools", weather_tools()},
                   {"tool_choice", {{"type", "function"}, {"function", {{"name", "zzz"}}}}}}),
            "tool_choice.function.name");
  EXPECT_EQ(param({{"stop", {"a", ""}}}), "stop[1]");
  EXPECT_EQ(param({{"stop", std::string(257, 'x')}}), "stop");
  EXPECT_EQ(param({{"stop", std::vector<std::string>(17, "x")}}), "stop");
  EXPECT_EQ(param({{"stream_options", {{"include_usage", true}}}}), "stream_options");
  EXPECT_EQ(param({{"max_tokens", 4}, {"min_tokens", 5}}), "min_tokens");
  EXPECT_EQ(param({{"min_tokens", 5}, {"allowed_token_ids", {5}}}), "allowed_token_ids");
  EXPECT_EQ(param({{"repeat_penalty", 1.1}, {"repetition_penalty", 1.2}}), "repeat_penalty");
}

TEST_F(ApiErrors, BodiesThatAreNoJson) {
  for (const char* body :
       {"", "{", "[]", "null", "3", "{\"a\":1,\"a\":2}", "{\"model\":\"\xff\"}"}) {
    const Reply reply = call("POST", "/v1/chat/completions", body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(reply.json["error"]["type"], "invalid_request_error");
  }
  std::string deep(100'000, '[');
  EXPECT_EQ(call("POST", "/v1/chat/completions", deep).status, 400);
}

TEST_F(ApiErrors, TheContextErrorIsWhatClientsLookFor) {
  const Reply reply = chat({{"max_tokens", 4096}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.code(), "context_length_exceeded");
  EXPECT_EQ(reply.param(), "messages");
  EXPECT_NE(reply.message().find("maximum context length is 2048 tokens"), std::string::npos);
  EXPECT_NE(reply.message().find("4096 for the completion"), std::string::npos);
  generator->context = 4;
  restart({.model_names = {"nano"}, .clamp_max_tokens = true});
  say("x");
  EXPECT_EQ(chat({{"max_tokens", 4096}}).status, 200);
  std::string words;
  for (int i = 0; i < 3000; ++i) words += " word";
  const Reply longer = complete({{"prompt", words}});
  EXPECT_EQ(longer.code(), "context_length_exceeded");
  EXPECT_NE(longer.message().find("maximum context length"), std::string::npos);
}

TEST_F(ApiErrors, ModelNames) {
  say("x");
  const Reply reply = chat({{"model", "gpt-4"}});
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.code(), "model_not_found");
  EXPECT_EQ(reply.param(), "model");
  EXPECT_EQ(chat({{"model", "other-name"}}).json["model"], "nano");
  EXPECT_EQ(chat({{"model", nullptr}}).status, 200);
  EXPECT_EQ(chat({{"model", 5}}).status, 400);
  restart({.model_names = {"nano"}, .any_model_name = true});
  say("x");
  EXPECT_EQ(chat({{"model", "gpt-4"}}).status, 200);
}

TEST_F(ApiErrors, EngineRefusalsBecomeTheirStatus) {
  generator->refusal = Error(ErrorKind::busy, "the queue is full");
  for (const bool stream : {false, true}) {
    const Reply reply = chat({{"stream", stream}});
    EXPECT_EQ(reply.status, 429);
    EXPECT_EQ(reply.code(), "server_busy");
    ASSERT_FALSE(reply.headers.empty());
    EXPECT_EQ(reply.headers[0].first, "Retry-After");
  }
  generator->refusal = Error(ErrorKind::internal, "/secret/path: at 0x1234");
  const Reply fault = chat();
  EXPECT_EQ(fault.status, 500);
  EXPECT_EQ(fault.text.find("secret"), std::string::npos);
  EXPECT_NE(fault.notes.at("error").find("secret"), std::string::npos);
}

TEST_F(ApiErrors, FailuresInMidAnswer) {
  generator->forced_finish = FinishReason::timeout;
  EXPECT_EQ(chat().status, 408);
  Reply streamed = chat({{"stream", true}});
  ASSERT_EQ(streamed.chunks.size(), 1u);
  EXPECT_EQ(streamed.chunks[0]["error"]["code"], "request_timeout");
  EXPECT_TRUE(streamed.done);
  generator->forced_finish = FinishReason::error;
  EXPECT_EQ(chat().status, 500);
  generator->forced_finish = FinishReason::cancelled;
  EXPECT_EQ(chat().status, 503);
  EXPECT_EQ(complete({{"stream", true}}).chunks[0]["error"]["type"], "service_unavailable_error");
}

TEST_F(ApiErrors, LoadingAndDraining) {
  ServiceOptions options{.model_names = {"nano"}, .metrics = true};
  routes.clear();
  service = std::make_unique<Service>(options);
  routes = make_routes(*service);
  for (const auto& [method, path] :
       {std::pair{"GET", "/health"}, {"GET", "/v1/models"}, {"POST", "/v1/chat/completions"}}) {
    const Reply reply = call(method, path, "{}");
    EXPECT_EQ(reply.status, 503);
    EXPECT_EQ(reply.code(), "model_loading");
  }
  EXPECT_EQ(call("GET", "/metrics").status, 200);
  service->set_model(make_model(std::make_unique<ScriptedGenerator>(), Task::generate));
  EXPECT_EQ(call("GET", "/health").status, 200);
  service->drain();
  EXPECT_EQ(call("GET", "/health").code(), "draining");
}

TEST_F(ApiErrors, IgnoredFieldsAreNoted) {
  say("x");
  const Reply reply =
      chat({{"user", "u"}, {"store", true}, {"quantum", 1}, {"metadata", {{"a", "b"}}}});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.notes.at("ignored_fields"), "quantum");
}

}  // namespace
}  // namespace qwen3::server
