// POST /v1/messages: the events in their order, what blocks become, stop reasons, and errors in
// the form of that API.
#include "server/agents_fixture.h"
#include "server/messages/errors.h"
#include "server/messages/request.h"

namespace qwen3::server {
namespace {

constexpr const char* kMessagesPath = "/v1/messages";

Json claude_tools() {
  return Json::parse(R"([{"name":"add","description":"d","input_schema":{"type":"object"}},
    {"name":"look","type":"custom","input_schema":{"type":"object"}},
    {"name":"web_search","type":"web_search_20250305"}])");
}

// What the official clients do with a stream; returns the message.
Json accumulate_message(const std::vector<NamedEvent>& events) {
  Json message;
  std::string input;
  bool open = false;
  EXPECT_EQ(events.front().name, "message_start");
  EXPECT_EQ(events.back().name, "message_stop");
  for (const auto& [name, data] : events) {
    if (name == "message_start") message = data["message"];
    if (data.contains("index")) {
      const auto index = data["index"].get<int64_t>();
      const auto n = static_cast<int64_t>(message["content"].size());
      EXPECT_EQ(index, name == "content_block_start" ? n : n - 1) << name;
    }
    if (name == "content_block_start") {
      EXPECT_FALSE(std::exchange(open, true)) << "two blocks are open";
      message["content"].push_back(data["content_block"]);
      input.clear();
    } else if (name == "content_block_delta") {
      EXPECT_TRUE(open);
      Json& block = message["content"].back();
      const Json& delta = data["delta"];
      if (delta["type"] == "input_json_delta") {
        input += delta["partial_json"].get<std::string>();
      } else {
        const std::string field = delta["type"] == "text_delta"       ? "text"
                                  : delta["type"] == "thinking_delta" ? "thinking"
                                                                      : "signature";
        block[field] = block[field].get<std::string>() + delta[field].get<std::string>();
      }
    } else if (name == "content_block_stop") {
      EXPECT_TRUE(std::exchange(open, false));
      Json& block = message["content"].back();
      if (block["type"] == "tool_use") block["input"] = Json::parse(input);
    } else if (name == "message_delta") {
      EXPECT_FALSE(open);
      message.update(data["delta"]);
      message["usage"] = data["usage"];
    }
  }
  return message;
}

Json without_message_ids(Json message) {
  message.erase("id");
  for (Json& block : message["content"]) block.erase("id");
  return message;
}

class Messages : public AgentsTest {
 protected:
  static Json body_with(Json more) {
    Json body{{"model", "nano"},
              {"max_tokens", 100},
              {"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
    body.update(more);
    return body;
  }
  Reply message(Json more) { return ask(kMessagesPath, body_with(std::move(more))); }
  std::vector<NamedEvent> events(Json more) {
    return stream(kMessagesPath, body_with(std::move(more)));
  }
  std::string prompt_of(const Json& messages, Json more = Json::object()) {
    more["messages"] = messages;
    const Reply reply = message(more);
    EXPECT_EQ(reply.status, 200) << reply.text;
    return reply.status == 200 ? last_prompt() : "";
  }
  std::string refused(Json more) {
    const Reply reply = message(std::move(more));
    EXPECT_EQ(reply.status, 400) << reply.text;
    EXPECT_EQ(reply.json["type"], "error");
    EXPECT_EQ(reply.json["error"]["type"], "invalid_request_error");
    return reply.json["error"]["message"];
  }
};

TEST_F(Messages, EventsInTheirOrder) {
  say("<think>\nhm\n</think>\n\nIt is.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": "
      "1}}\n</tool_call>");
  const auto all = events({{"tools", claude_tools()}, {"thinking", {{"type", "adaptive"}}}});
  EXPECT_EQ(names_of(all),
            (std::vector<std::string>{"message_start",
                                      "ping",
                                      "content_block_start",
                                      "content_block_delta",
                                      "content_block_stop",
                                      "content_block_start",
                                      "content_block_delta",
                                      "content_block_stop",
                                      "content_block_start",
                                      "content_block_delta",
                                      "content_block_stop",
                                      "message_delta",
                                      "message_stop"}));
  const Json last = accumulate_message(all);
  EXPECT_EQ(last["content"][0]["thinking"], "hm");
  EXPECT_FALSE(last["content"][0]["signature"].get<std::string>().empty());
  EXPECT_EQ(last["content"][1]["text"], "It is.\n");
  EXPECT_EQ(last["content"][2]["input"], (Json{{"a", 1}}));
  EXPECT_TRUE(last["content"][2]["id"].get<std::string>().starts_with("toolu_"));
  EXPECT_EQ(last["stop_reason"], "tool_use");
  const Json& begun = all.front().data["message"]["usage"];
  EXPECT_EQ(begun["input_tokens"].get<size_t>(), generator->requests.back().prompt_ids.size());
}

TEST_F(Messages, WholeIsTheEndOfTheStream) {
  for (const std::string answer : {"<think>\nhm\n</think>\n\nYes.",
                                   "plain",
                                   "",
                                   "<think>\nnever ends",
                                   "<tool_call>\n{\"name\": \"add\", \"arguments\": "
                                   "{}}\n</tool_call>\n<tool_call>\n{\"name\": \"look\", "
                                   "\"arguments\": {\"x\": [1.50]}}\n</tool_call>"}) {
    say(answer);
    for (const char* display : {"summarized", "omitted"}) {
      const Json more = {{"tools", claude_tools()},
                         {"thinking", {{"type", "adaptive"}, {"display", display}}}};
      const Json streamed = accumulate_message(events(more));
      EXPECT_EQ(without_message_ids(message(more).json), without_message_ids(streamed)) << answer;
    }
  }
}

// Whatever chat answers do with it.
TEST_F(Messages, ThinkingIsABlockOfItsOwn) {
  start({.model_names = {"nano"}, .reasoning_field = ReasoningField::none});
  say("<think>\nhm\n</think>\n\nYes.");
  const Json content = message({{"thinking", {{"type", "adaptive"}}}}).json["content"];
  ASSERT_EQ(content.size(), 2u);
  EXPECT_EQ(content[0]["thinking"], "hm");
  EXPECT_EQ(content[1]["text"], "Yes.");
}

TEST_F(Messages, OmittedThinkingKeepsItsSignature) {
  say("<think>\nhm\n</think>\n\nYes.");
  const Json block =
      message({{"thinking", {{"type", "adaptive"}, {"display", "omitted"}}}}).json["content"][0];
  EXPECT_EQ(block["thinking"], "");
  EXPECT_FALSE(block["signature"].get<std::string>().empty());
}

// A ping as a comment is not seen by clients, which give up after a silence.
TEST_F(Messages, PingsAreEvents) {
  say("x");
  events(Json::object());
  const auto ping = read_events(last_exchange->form.ping);
  ASSERT_EQ(ping.size(), 1u);
  EXPECT_EQ(ping[0].name, "ping");
  EXPECT_EQ(last_exchange->form.ping_interval, std::chrono::seconds(5));
  const auto last = read_events(last_exchange->form.last_event("going down", "shutting_down"));
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0].name, "error");
  EXPECT_EQ(last[0].data["error"]["type"], "overloaded_error");
}

// It is sent when the request is taken, before the first token.
TEST_F(Messages, BeginsBeforeTheFirstToken) {
  say("x");
  const auto exchange = begin("POST", kMessagesPath, body_with({{"stream", true}}).dump());
  ASSERT_TRUE(exchange->run_one());
  EXPECT_EQ(names_of(read_events(exchange->response.body)),
            (std::vector<std::string>{"message_start", "ping"}));
  EXPECT_TRUE(exchange->run());
}

TEST_F(Messages, BlocksBecomeTurns) {
  const Json messages = {
      {{"role", "user"},
       {"content",
        {{{"type", "text"}, {"text", "Q1"}, {"cache_control", {{"type", "ephemeral"}}}},
         {{"type", "document"},
          {"title", "T"},
          {"source", {{"type", "text"}, {"media_type", "text/plain"}, {"data", "Doc."}}}}}}},
      {{"role", "assistant"},
       {"content",
        {{{"type", "thinking"}, {"thinking", "thought"}, {"signature", "s"}},
         {{"type", "redacted_thinking"}, {"data", "?"}},
         {{"type", "text"}, {"text", "Let me."}},
         {{"type", "tool_use"}, {"id", "t1"}, {"name", "add"}, {"input", {{"a", 1}}}},
         {{"type", "tool_use"}, {"id", "t2"}, {"name", "look"}, {"input", Json::object()}}}}},
      {{"role", "user"},
       {"content",
        {{{"type", "text"}, {"text", "And then?"}},
         {{"type", "tool_result"}, {"tool_use_id", "t1"}, {"content", "5"}},
         {{"type", "tool_result"},
          {"tool_use_id", "t2"},
          {"is_error", true},
          {"content", {{{"type", "text"}, {"text", "gone"}}}}}}}}};
  const std::string prompt = prompt_of(
      messages,
      {{"system", {{{"type", "text"}, {"text", "Sys."}}, {{"type", "text"}, {"text", "More."}}}},
       {"thinking", {{"type", "adaptive"}}}});
  EXPECT_EQ(prompt,
            "<|im_start|>system\nSys.\n\nMore.<|im_end|>\n"
            "<|im_start|>user\nQ1\nT\nDoc.<|im_end|>\n"
            "<|im_start|>assistant\nLet me.\n"
            "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>\n"
            "<tool_call>\n{\"name\": \"look\", \"arguments\": {}}\n</tool_call><|im_end|>\n"
            "<|im_start|>user\n<tool_response>\n5\n</tool_response>\n"
            "<tool_response>\nError: gone\n</tool_response><|im_end|>\n"
            "<|im_start|>user\nAnd then?<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST_F(Messages, ThoughtsGoBackWithTheirCalls) {
  const Json messages = {
      {{"role", "user"}, {"content", "Q1"}},
      {{"role", "assistant"},
       {"content",
        {{{"type", "thinking"}, {"thinking", "thought"}, {"signature", "s"}},
         {{"type", "tool_use"}, {"id", "t1"}, {"name", "add"}, {"input", Json::object()}}}}},
      {{"role", "user"},
       {"content", {{{"type", "tool_result"}, {"tool_use_id", "t1"}, {"content", "5"}}}}}};
  EXPECT_NE(prompt_of(messages).find("<think>\nthought\n</think>\n\n<tool_call>"),
            std::string::npos);
}

// The line differs in every request: with it no prompt would be found in the cache.
TEST_F(Messages, BillingLineIsLeftOut) {
  const auto prompt_with = [&](const Json& system) {
    message({{"system", system}});
    return last_prompt();
  };
  const std::string line = "x-anthropic-billing-header: cc_version=2; cch=";
  EXPECT_EQ(prompt_with(line + "1a2b;\nSys."), prompt_with("Sys."));
  EXPECT_EQ(prompt_with({{{"type", "text"}, {"text", line + "1a2b;"}},
                         {{"type", "text"}, {"text", "Sys."}}}),
            prompt_with("Sys."));
  EXPECT_NE(prompt_with("Sys. " + line).find("cch="), std::string::npos) << "only at the beginning";
}

TEST_F(Messages, SystemAnywhere) {
  const Json messages = {{{"role", "user"}, {"content", "Q1"}},
                         {{"role", "system"}, {"content", {{{"type", "text"}, {"text", "Late."}}}}},
                         {{"role", "user"}, {"content", "Q2"}}};
  EXPECT_NE(prompt_of(messages).find("<|im_start|>system\nLate.<|im_end|>"), std::string::npos);
  const MessagesRequest strict = read_messages_request(
      body_with({{"messages", messages}}), {.late_system = false}, MaxTokens::required);
  EXPECT_EQ(strict.chat["messages"][1], (Json{{"role", "user"}, {"content", "Late."}}));
}

TEST_F(Messages, MaxTokensIsCutToTheRoom) {
  say("x");
  ASSERT_EQ(message({{"max_tokens", 32000}}).status, 200);
  EXPECT_EQ(generator->requests.back().sampling.max_tokens,
            2048 - static_cast<int64_t>(generator->requests.back().prompt_ids.size()));
  EXPECT_NE(refused({{"max_tokens", nullptr}}).find("max_tokens"), std::string::npos);
  std::string words;
  for (int i = 0; i < 3000; ++i) words += "word ";
  const std::string long_prompt = refused({{"messages", {{{"role", "user"}, {"content", words}}}}});
  EXPECT_TRUE(long_prompt.starts_with("prompt is too long: ")) << long_prompt;
  EXPECT_TRUE(long_prompt.ends_with(" tokens > 2047 maximum")) << long_prompt;
}

TEST_F(Messages, StopReasons) {
  say("one two three");
  EXPECT_EQ(message(Json::object()).json["stop_reason"], "end_turn");
  const Json stopped = message({{"stop_sequences", {" three"}}}).json;
  EXPECT_EQ(stopped["stop_reason"], "stop_sequence");
  EXPECT_EQ(stopped["stop_sequence"], " three");
  EXPECT_EQ(message({{"max_tokens", 2}}).json["stop_reason"], "max_tokens");
  generator->script = [](const Request& request, size_t) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < 4096; ++i) ids.push_back(static_cast<int32_t>(300 + i * i % 601));
    ids.resize(static_cast<size_t>(request.sampling.max_tokens));
    return ids;
  };
  EXPECT_EQ(message({{"max_tokens", 32000}, {"loop_guard", false}}).json["stop_reason"],
            "model_context_window_exceeded");
}

TEST_F(Messages, Thinking) {
  const ChatAbilities all;
  const auto chat_of = [&](Json more, const ChatAbilities& abilities) {
    return read_messages_request(body_with(std::move(more)), abilities, MaxTokens::required).chat;
  };
  EXPECT_EQ(chat_of(Json::object(), all)["reasoning_effort"], "none");
  EXPECT_EQ(chat_of({{"thinking", {{"type", "disabled"}}}}, all)["reasoning_effort"], "none");
  const Json on = {{"thinking", {{"type", "enabled"}, {"budget_tokens", 2000}}}};
  EXPECT_EQ(chat_of(on, all)["enable_thinking"], true);
  EXPECT_EQ(chat_of(on, all)["thinking_token_budget"], 2000);
  EXPECT_FALSE(chat_of(on, {.thinking_switch = false}).contains("enable_thinking"));
  EXPECT_FALSE(chat_of(on, {.closes_thoughts = false}).contains("thinking_token_budget"));
  const auto adaptive = [&](const char* effort) {
    return chat_of({{"thinking", {{"type", "adaptive"}}}, {"output_config", {{"effort", effort}}}},
                   all);
  };
  EXPECT_EQ(adaptive("low")["thinking_token_budget"], 1024);
  EXPECT_EQ(adaptive("medium")["thinking_token_budget"], 8192);
  EXPECT_FALSE(adaptive("high").contains("thinking_token_budget"));
  EXPECT_NE(refused({{"thinking", {{"type", "maybe"}}}}).find("thinking.type"), std::string::npos);
}

TEST_F(Messages, ToolsAndChoices) {
  say("{}}\n</tool_call>");
  const Json named =
      message({{"tools", claude_tools()}, {"tool_choice", {{"type", "tool"}, {"name", "look"}}}})
          .json;
  EXPECT_EQ(named["content"][0]["name"], "look") << named;
  say("free");
  message({{"tools", claude_tools()}, {"tool_choice", {{"type", "none"}}}});
  EXPECT_EQ(last_prompt().find("look"), std::string::npos);
  const Reply reply =
      message({{"tools", claude_tools()},
               {"tool_choice", {{"type", "auto"}, {"disable_parallel_tool_use", true}}}});
  EXPECT_EQ(reply.notes.at("skipped"), "tool:web_search_20250305");
  EXPECT_NE(
      refused({{"tools", claude_tools()}, {"tool_choice", {{"type", "tool"}, {"name", "nobody"}}}})
          .find("tool_choice.name"),
      std::string::npos);
  EXPECT_NE(refused({{"tool_choice", {{"type", "any"}}}}).find("tool_choice"), std::string::npos);
  const Json format = {
      {"output_config", {{"format", {{"type", "json_schema"}, {"schema", {{"type", "object"}}}}}}}};
  EXPECT_EQ(read_messages_request(body_with(format), {}, MaxTokens::required)
                .chat["response_format"]["json_schema"]["schema"],
            (Json{{"type", "object"}}));
}

TEST_F(Messages, PrefilledAnswerGoesOn) {
  const Json messages = {{{"role", "user"}, {"content", "Q1"}},
                         {{"role", "assistant"}, {"content", "It is"}}};
  EXPECT_TRUE(prompt_of(messages).ends_with("It is")) << last_prompt();
}

// Fields and headers of a service that is elsewhere change nothing here.
TEST_F(Messages, UnknownFieldsAreSkipped) {
  say("x");
  const Reply reply = message({{"metadata", {{"user_id", "u"}}},
                               {"context_management", {{"edits", Json::array()}}},
                               {"mcp_servers", Json::array()},
                               {"service_tier", "auto"}});
  EXPECT_EQ(reply.status, 200) << reply.text;
  EXPECT_NE(reply.notes.at("skipped").find("field:context_management"), std::string::npos);
}

TEST_F(Messages, ModelNames) {
  say("x");
  const Reply alias = message({{"model", "claude-haiku-4-5"}});
  EXPECT_EQ(alias.status, 200);
  EXPECT_EQ(alias.json["model"], "nano");
  const Reply missing = message({{"model", "gpt-4"}});
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.json["error"]["type"], "not_found_error");
  EXPECT_EQ(missing.json["request_id"], "req-1");
  EXPECT_EQ(missing.headers.back(), (std::pair<std::string, std::string>{"request-id", "req-1"}));
}

TEST_F(Messages, ErrorsHaveTheirPath) {
  const auto of_content = [&](const Json& blocks) {
    return refused({{"messages", {{{"role", "user"}, {"content", blocks}}}}});
  };
  EXPECT_TRUE(of_content({{{"type", "image"}, {"source", {{"type", "base64"}}}}})
                  .starts_with("messages[0].content[0]: \"image\""));
  EXPECT_TRUE(of_content({{{"type", "text"}}}).starts_with("messages[0].content[0].text"));
  EXPECT_TRUE(of_content(7).starts_with("messages[0].content"));
  EXPECT_TRUE(of_content({{{"type", "tool_result"}, {"content", "x"}}})
                  .starts_with("messages[0].content[0].tool_use_id"));
  EXPECT_TRUE(refused({{"messages", Json::array()}}).starts_with("messages: expected 1 to"));
  EXPECT_TRUE(refused({{"system", {{{"type", "image"}}}}}).starts_with("system[0]"));
  EXPECT_TRUE(refused({{"stop_sequences", {""}}}).starts_with("stop_sequences[0]: "));
  EXPECT_TRUE(refused({{"stop_token_ids", {-1}}}).starts_with("stop_token_ids[0]: "));
}

TEST_F(Messages, FailureInTheStream) {
  generator->forced_finish = FinishReason::error;
  const auto all = events(Json::object());
  EXPECT_EQ(all.back().name, "error");
  EXPECT_EQ(all.back().data["error"]["type"], "api_error");
  EXPECT_EQ(message(Json::object()).status, 500);
  generator->forced_finish.reset();
  generator->refusal = Error(ErrorKind::busy, "the queue is full");
  const Reply busy = message(Json::object());
  EXPECT_EQ(busy.status, 429);
  EXPECT_EQ(busy.json["error"]["type"], "rate_limit_error");
  EXPECT_EQ(busy.headers.front().first, "Retry-After");
}

TEST_F(Messages, RefusalsOfTheFrontTakeTheirForm) {
  HttpResponse refusal = error_response(ApiError(503, "draining", "the server is shutting down"));
  as_messages_error(refusal, "req-9");
  EXPECT_EQ(refusal.status, 529);
  EXPECT_EQ(Json::parse(refusal.body),
            Json::parse(R"({"type":"error","error":{"type":"overloaded_error",
                            "message":"the server is shutting down"},"request_id":"req-9"})"));
  for (const Route& route : routes) {
    const bool messages = route.path.starts_with(kMessagesPath);
    EXPECT_EQ(route.refusal_form == as_messages_error, messages) << route.path;
  }
}

TEST_F(Messages, CountsTokens) {
  Json body = body_with({{"tools", claude_tools()}});
  body.erase("max_tokens");
  const Reply counted = ask("/v1/messages/count_tokens", body);
  EXPECT_EQ(counted.status, 200) << counted.text;
  EXPECT_TRUE(generator->requests.empty());
  message({{"tools", claude_tools()}});
  EXPECT_EQ(counted.json["input_tokens"].get<size_t>(),
            generator->requests.back().prompt_ids.size());
}

TEST_F(Messages, ListOfModels) {
  auto exchange = std::make_shared<FakeExchange>();
  HttpRequest http;
  http.headers = {{"anthropic-version", "2023-06-01"}};
  for (const Route& route : routes) {
    if (route.path == "/v1/models") route.handler(http, exchange);
  }
  const Json list = read_reply(*exchange).json;
  EXPECT_EQ(list["data"][0]["type"], "model");
  EXPECT_EQ(list["data"][0]["id"], "nano");
  EXPECT_EQ(list["has_more"], false);
  EXPECT_EQ(list["first_id"], "nano");
}

}  // namespace
}  // namespace qwen3::server
