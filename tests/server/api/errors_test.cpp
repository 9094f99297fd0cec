// What is refused, and how: the tables of hostile values, random bodies, states of the service.
#include <random>

#include "server/api/fixture.h"

namespace qwen3::server {
namespace {

class ApiErrors : public ApiTest {
 protected:
  // The raw text of one field's value in an otherwise good request.
  Reply chat_with(const std::string& field, const std::string& value) {
    return call("POST",
                "/v1/chat/completions",
                R"({"messages":[{"role":"user","content":"Hi"}],")" + field + "\":" + value + "}");
  }
  void expect_refused(const std::string& field, const std::string& value) {
    generator->requests.clear();
    const Reply reply = chat_with(field, value);
    EXPECT_EQ(reply.status, 400) << field << "=" << value << ": " << reply.text.substr(0, 300);
    if (reply.status != 400) return;
    EXPECT_EQ(reply.json["error"]["type"], "invalid_request_error");
    EXPECT_TRUE(reply.json["error"]["code"].is_string());
    if (reply.param().is_string()) {
      EXPECT_TRUE(reply.param().get<std::string>().starts_with(field)) << reply.text;
    } else {
      EXPECT_EQ(reply.code(), "invalid_json") << reply.text;  // a number no double holds
    }
    EXPECT_TRUE(generator->requests.empty());
  }
};

TEST_F(ApiErrors, TP1_NumbersOfChoices) {
  for (const char* value :
       {"0", "-1", "9", "1e6", "9223372036854775808", "1.5", "\"2\"", "true", "[1]", "{}"}) {
    expect_refused("n", value);
  }
}

TEST_F(ApiErrors, TP2_Logprobs) {
  for (const char* value : {"21", "-1", "1e9", "1000000000", "1.5", "\"5\"", "true"}) {
    expect_refused("top_logprobs", value);
    expect_refused("prompt_logprobs", value);
  }
  for (const char* value : {"1", "\"yes\"", "[]"}) expect_refused("logprobs", value);
  for (const char* value : {"21", "-1", "true"}) {
    const Reply reply =
        call("POST", "/v1/completions", std::string(R"({"prompt":"a","logprobs":)") + value + "}");
    EXPECT_EQ(reply.status, 400) << value;
    EXPECT_EQ(reply.param(), "logprobs");
  }
  // The arithmetic of a request that asks for too many.
  restart({.model_names = {"nano"}, .limits = {.max_logprob_entries = 10}});
  EXPECT_EQ(complete({{"echo", true}, {"logprobs", 20}}).param(), "prompt");
}

TEST_F(ApiErrors, TP3_TokenIds) {
  for (const char* id : {"-1",
                         "2560",
                         "151935",
                         "2147483648",
                         "9223372036854775808",
                         "1.5",
                         "\"7\"",
                         "null",
                         "true"}) {
    expect_refused("stop_token_ids", "[" + std::string(id) + "]");
    expect_refused("allowed_token_ids", "[" + std::string(id) + "]");
    const Reply prompt =
        call("POST", "/v1/completions", R"({"prompt":[5,)" + std::string(id) + "]}");
    EXPECT_EQ(prompt.status, 400) << id;
    EXPECT_TRUE(prompt.param().get<std::string>().starts_with("prompt")) << prompt.text;
    EXPECT_EQ(call("POST", "/detokenize", R"({"tokens":[)" + std::string(id) + "]}").status, 400);
  }
  for (const char* key : {"-1",
                          "2560",
                          "151935",
                          "2147483648",
                          "9223372036854775808",
                          "1.5",
                          "x",
                          "",
                          " 5",
                          "+5",
                          "5 "}) {
    expect_refused("logit_bias", R"({")" + std::string(key) + "\":1}");
  }
  for (const char* bias : {"101", "-101", "\"1\"", "null", "1e400"}) {
    expect_refused("logit_bias", R"({"5":)" + std::string(bias) + "}");
  }
  std::string many = "{\"0\":1";
  for (int i = 1; i <= 300; ++i) many += ",\"" + std::to_string(i) + "\":1";
  expect_refused("logit_bias", many + "}");
}

// Every number field with every strange number: refused, or an allowed value.
TEST_F(ApiErrors, TP4_StrangeNumbers) {
  say("x");
  for (const char* field : {"temperature",
                            "top_p",
                            "min_p",
                            "presence_penalty",
                            "frequency_penalty",
                            "repetition_penalty",
                            "top_k",
                            "max_tokens",
                            "max_completion_tokens",
                            "min_tokens",
                            "seed",
                            "n",
                            "priority",
                            "top_logprobs",
                            "prompt_logprobs",
                            "thinking_token_budget",
                            "n_predict"}) {
    for (const char* value : {"NaN",
                              "Infinity",
                              "-Infinity",
                              "1e308",
                              "-1e308",
                              "-0",
                              "-0.0",
                              "1e-320",
                              "9007199254740993",
                              "-1",
                              "1e400",
                              "\"1\"",
                              "[]",
                              "{}",
                              "true",
                              "0.1",
                              "18446744073709551615",
                              "18446744073709551616"}) {
      const Reply reply = chat_with(field, value);
      EXPECT_TRUE(reply.status == 200 || reply.status == 400)
          << field << "=" << value << ": " << reply.text.substr(0, 300);
    }
    for (const char* value : {"NaN", "\"1\"", "[]", "{}", "true", "1e400"}) {
      EXPECT_EQ(chat_with(field, value).status, 400) << field << "=" << value;
    }
  }
  for (const char* value : {"2.01", "-0.01", "1e308"}) expect_refused("temperature", value);
  for (const char* value : {"1.01", "-0.01"}) expect_refused("top_p", value);
  for (const char* value : {"0", "-2"}) expect_refused("max_tokens", value);
  for (const char* value : {"-1", "2147483648"}) expect_refused("priority", value);
  EXPECT_EQ(chat_with("max_tokens", "5.0").status, 200);  // as Python's JSON may say it
  EXPECT_EQ(chat_with("top_p", "0").status, 200);
}

// Every pair of features together: an answer or a refusal.
TEST_F(ApiErrors, TP5_PairsOfFeatures) {
  say("<think>\na\n</think>\n\nb <tool_call>\n{\"name\": \"add\", \"arguments\": "
      "{}}\n</tool_call>");
  const std::vector<Json> features = {{{"temperature", 0}},
                                      {{"temperature", 2}},
                                      {{"top_k", 1}},
                                      {{"min_p", 1}},
                                      {{"repetition_penalty", 100}},
                                      {{"presence_penalty", 2}},
                                      {{"frequency_penalty", -2}},
                                      {{"logit_bias", {{"5", -100}}}},
                                      {{"seed", 1}},
                                      {{"n", 8}},
                                      {{"min_tokens", 3}},
                                      {{"max_tokens", 3}},
                                      {{"stop", "b"}},
                                      {{"stop_token_ids", {5}}},
                                      {{"ignore_eos", true}, {"max_tokens", 20}},
                                      {{"logprobs", true}, {"top_logprobs", 20}},
                                      {{"prompt_logprobs", 20}},
                                      {{"return_token_ids", true}},
                                      {{"tools", weather_tools()}},
                                      {{"tools", weather_tools()}, {"tool_choice", "required"}},
                                      {{"thinking_token_budget", 1}},
                                      {{"allowed_token_ids", {5, 6}}},
                                      {{"stream", true}},
                                      {{"enable_thinking", false}},
                                      {{"skip_special_tokens", false}},
                                      {{"include_reasoning", false}}};
  int answered = 0;
  for (const Json& a : features) {
    for (const Json& b : features) {
      Json both = a;
      both.update(b);
      const Reply reply = chat(both);
      ASSERT_TRUE(reply.status == 200 || reply.status == 400) << both << reply.text.substr(0, 300);
      answered += reply.status == 200;
    }
  }
  EXPECT_GT(answered, 500);
}

// Bodies that are right, nearly right and nonsense: never our fault.
TEST_F(ApiErrors, TP6_RandomBodies) {
  std::mt19937 random(7);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const std::vector<std::string> keys = {"model",
                                         "messages",
                                         "prompt",
                                         "max_tokens",
                                         "n",
                                         "stream",
                                         "stop",
                                         "temperature",
                                         "top_p",
                                         "tools",
                                         "tool_choice",
                                         "logit_bias",
                                         "logprobs",
                                         "top_logprobs",
                                         "echo",
                                         "seed",
                                         "suffix",
                                         "response_format",
                                         "stream_options",
                                         "chat_template_kwargs",
                                         "stop_token_ids",
                                         "input",
                                         "documents",
                                         "query",
                                         "content",
                                         "tokens",
                                         "role",
                                         "name",
                                         "type",
                                         "function",
                                         "text",
                                         "enable_thinking",
                                         "thinking_budget",
                                         "continue_final_message",
                                         "add_generation_prompt",
                                         "text_1",
                                         "text_2",
                                         "dimensions",
                                         "encoding_format",
                                         "best_of",
                                         "reasoning_effort"};
  const std::vector<Json> leaves = {nullptr,
                                    true,
                                    false,
                                    0,
                                    1,
                                    -1,
                                    3,
                                    1e308,
                                    0.5,
                                    "",
                                    "auto",
                                    "none",
                                    "required",
                                    "user",
                                    "assistant",
                                    "system",
                                    "tool",
                                    "function",
                                    "text",
                                    "Hi \0 there",
                                    "\u0000",
                                    "float",
                                    "base64",
                                    std::string(300, 'x'),
                                    "<|im_end|>",
                                    151935,
                                    5,
                                    Json::array(),
                                    Json::object()};
  std::function<Json(int)> value = [&](int depth) -> Json {
    const size_t kind = depth > 3 ? 0 : below(8);
    if (kind == 1) {
      Json list = Json::array();
      for (size_t i = below(4); i > 0; --i) list.push_back(value(depth + 1));
      return list;
    }
    if (kind == 2) {
      Json object = Json::object();
      for (size_t i = below(4); i > 0; --i) object[keys[below(keys.size())]] = value(depth + 1);
      return object;
    }
    return leaves[below(leaves.size())];
  };
  const Json good{{"messages", {{{"role", "user"}, {"content", "Hi"}}}},
                  {"prompt", "a"},
                  {"max_tokens", 4},
                  {"tokens", {1, 2}},
                  {"input", "x"},
                  {"query", "q"},
                  {"documents", {"d"}},
                  {"tools", weather_tools()},
                  {"text_1", "a"},
                  {"text_2", "b"},
                  {"content", nullptr}};
  std::vector<std::string> paths;
  for (const Route& route : routes) {
    if (route.method == "POST") paths.push_back(route.path);
  }
  const std::vector<Task> tasks = {Task::generate, Task::embed, Task::rerank};
  int n_ok = 0;
  for (const Task task : tasks) {
    restart({.model_names = {"nano"}}, task);
    say("x <tool_call>");
    for (int round = 0; round < 2500; ++round) {
      Json body = below(4) == 0 ? Json::object() : good;
      for (size_t i = below(5); i > 0; --i) body[keys[below(keys.size())]] = value(0);
      if (below(3) != 0) body.erase("model");
      std::string text = body.dump();
      if (below(6) == 0) text.resize(below(text.size() + 1));  // cut off
      if (below(8) == 0 && !text.empty()) text[below(text.size())] = static_cast<char>(below(256));
      const std::string& path = paths[below(paths.size())];
      const Reply reply = call("POST", path, text);
      ASSERT_LT(reply.status, 500) << path << " " << text << "\n"
                                   << reply.text.substr(0, 500) << reply.notes.count("error");
      n_ok += reply.status == 200;
      generator->requests.clear();
    }
  }
  EXPECT_GT(n_ok, 300);  // the generator also makes requests that are answered
}

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

Json history_with(const Json& function) {
  return {{{"role", "user"}, {"content", "a"}},
          {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", {{{"function", function}}}}},
          {{"role", "user"}, {"content", "b"}}};
}

// The served model with another template.
void use_template(const ServedModel& model, const std::string& source) {
  const_cast<ChatConfig&>(chat_config_of(model.text)).chat =
      ChatTemplate::parse(source, "/srv/models/q/chat_template.jinja");
}

TEST_F(ApiErrors, CallsOfTheHistoryWithoutArguments) {
  say("x");
  for (const Json& function : {Json{{"name", "f"}},
                               Json{{"name", "f"}, {"arguments", nullptr}},
                               Json{{"name", "f"}, {"arguments", ""}}}) {
    const Json messages = history_with(function);
    ASSERT_EQ(chat({{"messages", messages}}).status, 200);
    const Json shown = post("/apply-template", {{"messages", messages}}).json;
    EXPECT_NE(shown["prompt"].get<std::string>().find(R"({"name": "f", "arguments": {}})"),
              std::string::npos)
        << shown;
  }
}

TEST_F(ApiErrors, TemplatesThatFailNameTheField) {
  const auto fails = [&](const Json& more) {
    const Reply reply = chat(more);
    EXPECT_EQ(reply.status, 400) << reply.text;
    EXPECT_EQ(reply.text.find("srv"), std::string::npos) << reply.text;
    EXPECT_EQ(reply.text.find(".jinja"), std::string::npos) << reply.text;
    return reply;
  };
  // As Qwen3-Coder's does: it needs arguments that are an object.
  use_template(*service->loaded(),
               "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}"
               "{% for k, v in c.function.arguments | items %}{{ k }}{% endfor %}{% endfor %}"
               "{% endfor %}");
  const Json broken = history_with({{"name", "f"}, {"arguments", "not json"}});
  say("x");
  EXPECT_EQ(chat({{"messages", history_with({{"name", "f"}, {"arguments", "{}"}})}}).status, 200);
  // A template that fails whatever the arguments are.
  use_template(*service->loaded(), "{{ messages[0].nothing.at.all }}");
  Reply reply = fails({{"messages", broken}});
  EXPECT_EQ(reply.param(), "messages");
  EXPECT_NE(reply.message().find("line 1"), std::string::npos) << reply.text;
  // Limits of a render.
  use_template(*service->loaded(),
               "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}");
  reply = fails(Json::object());
  EXPECT_EQ(reply.param(), "messages");
  EXPECT_NE(reply.message().find("steps"), std::string::npos) << reply.text;
  use_template(*service->loaded(), "{{ 'x' * 99999999 }}");
  EXPECT_EQ(fails(Json::object()).param(), "messages");
  // What the template says itself.
  use_template(*service->loaded(), "{{ raise_exception('No user query found in messages.') }}");
  EXPECT_EQ(fails(Json::object()).message(), "No user query found in messages.");
}

// What a model once wrote is history: a template that walks the arguments sees none, one that prints
// them the text.
TEST_F(ApiErrors, BrokenArgumentsOfTheHistoryGoOn) {
  const auto prompt_of = [&](const std::string& arguments_as, const Json& arguments) {
    use_template(*service->loaded(),
                 "{% for m in messages %}{% for c in m.tool_calls or [] %}<" + arguments_as +
                     ">{% endfor %}{% endfor %}");
    const Json history = history_with({{"name", "f"}, {"arguments", arguments}});
    const Reply reply = post("/apply-template", {{"messages", history}});
    EXPECT_EQ(reply.status, 200) << reply.text;
    return reply.json["prompt"].get<std::string>();
  };
  const std::string walked =
      "{% for k, v in c.function.arguments | items %}{{ k }}={{ v }}{% endfor %}";
  const std::string printed = "{{ c.function.arguments }}";
  for (const char* text : {"{\"x\": ", "[1]", "plain", "5", "\"{}\"", "{\"a\": 1, \"a\": 2}"}) {
    EXPECT_EQ(prompt_of(walked, text), "<>") << text;
    EXPECT_EQ(prompt_of(printed, text), std::string("<") + text + ">");
  }
  EXPECT_EQ(prompt_of(walked, {1, 2}), "<>");
  EXPECT_EQ(prompt_of(printed, {1, 2}), "<[1,2]>");
  EXPECT_EQ(prompt_of(printed, true), "<true>");
  EXPECT_EQ(prompt_of(walked, "{\"x\": 1}"), "<x=1>");
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
