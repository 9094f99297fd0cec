// POST /v1/responses: the events in their order, the rules that accumulators of clients hold us to,
// and what each kind of item becomes.
#include "server/agents_fixture.h"
#include "server/responses/request.h"

namespace qwen3::server {
namespace {

constexpr const char* kPath = "/v1/responses";

Json flat_tools() {
  return Json::parse(R"([{"type":"function","name":"add","parameters":{"type":"object"}},
    {"type":"namespace","name":"mcp","tools":[{"type":"function","name":"look"}]},
    {"type":"custom","name":"patch","description":"Edits","format":{"type":"grammar",
     "syntax":"lark","definition":"start: /x+/"}},
    {"type":"web_search"},{"type":"local_shell"}])");
}

std::string calling(const std::string& name, const std::string& arguments) {
  return "<tool_call>\n{\"name\": \"" + name + "\", \"arguments\": " + arguments +
         "}\n</tool_call>";
}

// What openai-python and openai-node do with a stream; returns the last response.
Json accumulate(const std::vector<NamedEvent>& events) {
  std::map<int64_t, Json> items;
  std::map<int64_t, bool> done;
  Json last;
  EXPECT_EQ(events.front().name, "response.created");
  const Json id = events.front().data["response"]["id"];
  int64_t number = 0;
  for (const auto& [name, data] : events) {
    EXPECT_EQ(data["sequence_number"], number++) << name;
    if (data.contains("response")) {
      EXPECT_EQ(data["response"]["id"], id);
      last = data["response"];
    }
    if (!data.contains("output_index")) continue;
    const auto index = data["output_index"].get<int64_t>();
    if (name == "response.output_item.added") {
      EXPECT_EQ(index, static_cast<int64_t>(items.size())) << "an index that does not rise";
      for (const auto& [other, finished] : done) EXPECT_TRUE(finished) << other << " is open";
      items[index] = data["item"];
      done[index] = false;
      continue;
    }
    EXPECT_TRUE(items.contains(index) && !done[index]) << name << " of no open item";
    if (name == "response.output_item.done") {
      for (const char* same : {"id", "type", "call_id", "name"}) {
        EXPECT_EQ(items[index].value(same, Json()), data["item"].value(same, Json())) << same;
      }
      items[index] = data["item"];
      done[index] = true;
    } else {
      EXPECT_EQ(data["item_id"], items[index]["id"]) << name;
    }
  }
  for (const auto& [index, finished] : done) EXPECT_TRUE(finished) << index;
  EXPECT_EQ(last["output"].size(), items.size());
  for (const auto& [index, item] : items) EXPECT_EQ(last["output"][index], item);
  return last;
}

std::string joined(const std::vector<NamedEvent>& events, const std::string& name) {
  std::string text;
  for (const NamedEvent& event : events) {
    if (event.name == name) text += event.data["delta"].get<std::string>();
  }
  return text;
}

// Ids and times differ from one answer to the next.
Json without_ids(Json response) {
  for (const char* name : {"id", "created_at", "completed_at"}) response.erase(name);
  for (Json& item : response["output"]) {
    item.erase("id");
    item.erase("call_id");
  }
  return response;
}

class Responses : public AgentsTest {
 protected:
  Reply respond(Json more) {
    Json body{{"input", "Hi"}};
    body.update(more);
    return ask(kPath, body);
  }
  std::vector<NamedEvent> events(Json more) {
    Json body{{"input", "Hi"}};
    body.update(more);
    return stream(kPath, body);
  }
  // The prompt that these items make.
  std::string prompt_of(const Json& items, Json more = Json::object()) {
    more["input"] = items;
    const Reply reply = respond(more);
    EXPECT_EQ(reply.status, 200) << reply.text;
    return reply.status == 200 ? last_prompt() : "";
  }
  Reply refused(Json more) {
    Reply reply = respond(std::move(more));
    EXPECT_EQ(reply.status, 400) << reply.text;
    return reply;
  }
};

TEST_F(Responses, EventsInTheirOrder) {
  say("<think>\nhm\n</think>\n\nIt is.\n" + calling("add", "{\"a\": 1}"));
  const auto all = events({{"tools", flat_tools()}});
  EXPECT_EQ(names_of(all),
            (std::vector<std::string>{"response.created",
                                      "response.in_progress",
                                      "response.output_item.added",
                                      "response.content_part.added",
                                      "response.reasoning_text.delta",
                                      "response.reasoning_text.done",
                                      "response.content_part.done",
                                      "response.output_item.done",
                                      "response.output_item.added",
                                      "response.content_part.added",
                                      "response.output_text.delta",
                                      "response.output_text.done",
                                      "response.content_part.done",
                                      "response.output_item.done",
                                      "response.output_item.added",
                                      "response.function_call_arguments.delta",
                                      "response.function_call_arguments.done",
                                      "response.output_item.done",
                                      "response.completed"}));
  const Json last = accumulate(all);
  EXPECT_EQ(joined(all, "response.reasoning_text.delta"), "hm");
  EXPECT_EQ(joined(all, "response.output_text.delta"), "It is.\n");
  EXPECT_EQ(last["status"], "completed");
  EXPECT_EQ(last["output"][0]["content"][0]["text"], "hm");
  EXPECT_EQ(last["output"][1]["content"][0]["text"], "It is.\n");
  EXPECT_EQ(last["output"][2]["arguments"], "{\"a\": 1}");
  EXPECT_EQ(all.front().data["response"]["usage"], nullptr);
  EXPECT_EQ(all.front().data["response"]["status"], "in_progress");
}

TEST_F(Responses, WholeIsTheEndOfTheStream) {
  for (const std::string answer : {"<think>\nhm\n</think>\n\nYes.",
                                   "plain",
                                   "",
                                   "<think>\nnever ends",
                                   "<think>\nx\n</think>\n\n<tool_call>\n{\"name\": \"add\", "
                                   "\"arguments\": {}}\n</tool_call>"}) {
    say(answer);
    for (const char* summary : {"none", "auto"}) {
      const Json more = {{"reasoning", {{"summary", summary}}},
                         {"include", {"reasoning.encrypted_content"}},
                         {"tools", flat_tools()}};
      const Json streamed = accumulate(events(more));
      EXPECT_EQ(without_ids(respond(more).json), without_ids(streamed)) << answer;
    }
  }
}

TEST_F(Responses, SummaryInsteadOfText) {
  say("<think>\nhm\n</think>\n\nYes.");
  const auto all = events({{"reasoning", {{"summary", "auto"}}}});
  const std::vector<std::string> names = names_of(all);
  EXPECT_EQ(std::vector<std::string>(names.begin() + 2, names.begin() + 8),
            (std::vector<std::string>{"response.output_item.added",
                                      "response.reasoning_summary_part.added",
                                      "response.reasoning_summary_text.delta",
                                      "response.reasoning_summary_text.done",
                                      "response.reasoning_summary_part.done",
                                      "response.output_item.done"}));
  const Json last = accumulate(all);
  EXPECT_EQ(last["output"][0]["summary"][0], (Json{{"type", "summary_text"}, {"text", "hm"}}));
  EXPECT_TRUE(last["output"][0]["content"].empty());
  for (const NamedEvent& event : all) {
    if (event.name.find("summary") == std::string::npos) continue;
    EXPECT_EQ(event.data["summary_index"], 0);
  }
}

TEST_F(Responses, TheObjectRepeatsTheRequest) {
  say("x");
  const Json more = {{"metadata", {{"a", "b\u2028"}}},
                     {"instructions", "Be brief."},
                     {"temperature", 0.5},
                     {"user", "u"},
                     {"max_output_tokens", 9},
                     {"text", {{"verbosity", "low"}, {"unknown", 1}}},
                     {"reasoning", {{"effort", "high"}}},
                     {"store", true},
                     {"truncation", "auto"}};
  const Json object = respond(more).json;
  EXPECT_EQ(object["object"], "response");
  EXPECT_TRUE(object["id"].get<std::string>().starts_with("resp_"));
  EXPECT_EQ(object["metadata"], more["metadata"]);
  EXPECT_EQ(object["instructions"], "Be brief.");
  EXPECT_EQ(object["temperature"], 0.5);
  EXPECT_EQ(object["max_output_tokens"], 9);
  EXPECT_EQ(object["user"], "u");
  EXPECT_EQ(object["text"], (Json{{"format", {{"type", "text"}}}, {"verbosity", "low"}}));
  EXPECT_EQ(object["reasoning"], (Json{{"effort", "high"}, {"summary", nullptr}}));
  EXPECT_EQ(object["truncation"], "disabled");
  EXPECT_EQ(object["store"], false) << "nothing is kept here";
  EXPECT_EQ(object["tools"], Json::array());
  EXPECT_EQ(object["tool_choice"], "auto");
  EXPECT_EQ(object["parallel_tool_calls"], true);
  const Json& usage = object["usage"];
  EXPECT_EQ(usage["input_tokens_details"]["cached_tokens"], 3);
  EXPECT_EQ(usage["total_tokens"],
            usage["input_tokens"].get<int64_t>() + usage["output_tokens"].get<int64_t>());
  EXPECT_EQ(respond(more).text.find("\xE2\x80\xA8"), std::string::npos) << "a line end to clients";
}

TEST_F(Responses, Incomplete) {
  say("one two three four five six");
  const auto all = events({{"max_output_tokens", 3}});
  const Json last = accumulate(all);
  EXPECT_EQ(all.back().name, "response.incomplete");
  EXPECT_EQ(last["status"], "incomplete");
  EXPECT_EQ(last["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(last["output"][0]["status"], "incomplete");
}

TEST_F(Responses, ItemsBecomeTurns) {
  const std::string sealed = seal_thought("sealed thought");
  const Json items = {
      {{"role", "developer"}, {"content", "Dev rules."}},
      {{"role", "user"}, {"content", {{{"type", "input_text"}, {"text", "Q1"}}}}},
      {{"type", "reasoning"},
       {"id", "rs_1"},
       {"summary", {{{"type", "summary_text"}, {"text", "short"}}}},
       {"encrypted_content", sealed}},
      {{"type", "message"},
       {"role", "assistant"},
       {"content",
        {{{"type", "output_text"}, {"text", "Let me.\n"}, {"annotations", Json::array()}}}}},
      {{"type", "function_call"},
       {"call_id", "c1"},
       {"name", "look"},
       {"namespace", "mcp"},
       {"arguments", "{\"p\": 1}"}},
      {{"type", "custom_tool_call"}, {"call_id", "c2"}, {"name", "patch"}, {"input", "a\nb"}},
      {{"type", "function_call_output"},
       {"call_id", "c1"},
       {"output", {{{"type", "input_text"}, {"text", "R1"}}}}},
      {{"type", "custom_tool_call_output"}, {"call_id", "c2"}, {"output", "R2"}}};
  const std::string prompt = prompt_of(items, {{"instructions", "Inst."}});
  EXPECT_EQ(
      prompt,
      "<|im_start|>system\nInst.\n\nDev rules.<|im_end|>\n"
      "<|im_start|>user\nQ1<|im_end|>\n"
      "<|im_start|>assistant\n<think>\nsealed thought\n</think>\n\nLet me.\n"
      "<tool_call>\n{\"name\": \"mcp__look\", \"arguments\": {\"p\": 1}}\n</tool_call>\n"
      "<tool_call>\n{\"name\": \"patch\", \"arguments\": {\"input\": \"a\\nb\"}}\n</tool_call>"
      "<|im_end|>\n"
      "<|im_start|>user\n<tool_response>\nR1\n</tool_response>\n"
      "<tool_response>\nR2\n</tool_response><|im_end|>\n"
      "<|im_start|>assistant\n");
}

TEST_F(Responses, LateSystemMessagesAndRefusals) {
  const Json items = {
      {{"role", "user"}, {"content", "Q1"}},
      {{"role", "system"}, {"content", "Late."}},
      {{"role", "assistant"}, {"content", {{{"type", "refusal"}, {"refusal", "No."}}}}},
      {{"role", "user"}, {"content", "Q2"}}};
  const std::string late =
      "<|im_start|>system\nLate.<|im_end|>\n<|im_start|>assistant\nNo.<|im_end|>";
  EXPECT_NE(prompt_of(items).find(late), std::string::npos) << last_prompt();
}

TEST_F(Responses, WhatOthersRunIsSkipped) {
  say("x");
  const Reply reply = respond(
      {{"input",
        {{{"type", "web_search_call"}, {"id", "w"}},
         {{"type", "message"},
          {"role", "user"},
          {"content", {{{"type", "input_text"}, {"text", "Q"}}, {{"type", "new_part"}}}}},
         {{"type", "compaction"}, {"encrypted_content", "?"}},
         {{"type", "reasoning"}, {"encrypted_content", "not ours"}, {"summary", Json::array()}}}},
       {"tools", flat_tools()},
       {"include", {"file_search_call.results"}},
       {"from_the_future", 1}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  EXPECT_EQ(reply.notes.at("skipped"),
            "item:web_search_call,part:new_part,item:compaction,tool:web_search,tool:local_shell,"
            "include:file_search_call.results,field:from_the_future");
  EXPECT_EQ(reply.json["tools"].size(), 5u) << "as they were given";
}

TEST_F(Responses, NamespaceAndCustomTools) {
  say(calling("mcp__look", "{\"q\": \"x\"}") + calling("patch", "{\"input\": \"*** Begin\\n+a\"}"));
  const auto all = events({{"tools", flat_tools()}});
  const Json last = accumulate(all);
  ASSERT_EQ(last["output"].size(), 2u) << last;
  EXPECT_EQ(last["output"][0]["name"], "look");
  EXPECT_EQ(last["output"][0]["namespace"], "mcp");
  EXPECT_EQ(last["output"][0]["type"], "function_call");
  EXPECT_EQ(last["output"][1]["type"], "custom_tool_call");
  EXPECT_EQ(last["output"][1]["input"], "*** Begin\n+a");
  EXPECT_EQ(joined(all, "response.custom_tool_call_input.delta"), "*** Begin\n+a");
  const std::string prompt = last_prompt();
  EXPECT_NE(prompt.find("mcp__look"), std::string::npos);
  EXPECT_NE(prompt.find("The input follows this lark grammar:\\nstart: /x+/"), std::string::npos)
      << prompt;
  EXPECT_EQ(prompt.find("web_search"), std::string::npos);
}

TEST_F(Responses, ToolChoice) {
  say("{}}\n</tool_call>");
  const Json named = respond({{"tools", flat_tools()},
                              {"enable_thinking", false},
                              {"tool_choice", {{"type", "function"}, {"name", "add"}}}})
                         .json;
  EXPECT_EQ(named["output"][0]["name"], "add") << named;
  say("free");
  respond({{"tools", flat_tools()},
           {"tool_choice",
            {{"type", "allowed_tools"},
             {"mode", "auto"},
             {"tools", {{{"type", "custom"}, {"name", "patch"}}, {{"type", "web_search"}}}}}}});
  EXPECT_EQ(last_prompt().find("mcp__look"), std::string::npos);
  EXPECT_NE(last_prompt().find("patch"), std::string::npos);
  EXPECT_EQ(respond({{"tool_choice", "auto"}}).status, 200) << "no tools, no choice";
  EXPECT_EQ(refused({{"tool_choice", "required"}}).param(), "tool_choice");
  EXPECT_EQ(refused({{"tools", flat_tools()},
                     {"tool_choice", {{"type", "function"}, {"name", "nobody"}}}})
                .param(),
            "tool_choice.name");
  EXPECT_EQ(
      refused({{"tools", flat_tools()}, {"tool_choice", {{"type", "function"}, {"name", "patch"}}}})
          .param(),
      "tool_choice.name")
      << "it is a custom one";
}

TEST_F(Responses, EffortsAreBudgets) {
  const ChatAbilities all;
  const auto chat_of = [&](Json body, const ChatAbilities& abilities) {
    body["input"] = "x";
    return read_responses_request(body, {.abilities = abilities, .new_id = {}}).chat;
  };
  EXPECT_EQ(chat_of({{"reasoning", {{"effort", "low"}}}}, all)["thinking_token_budget"], 1024);
  EXPECT_EQ(chat_of({{"reasoning", {{"effort", "medium"}}}}, all)["thinking_token_budget"], 8192);
  EXPECT_FALSE(
      chat_of({{"reasoning", {{"effort", "high"}}}}, all).contains("thinking_token_budget"));
  EXPECT_EQ(chat_of({{"reasoning", {{"effort", "none"}}}}, all)["reasoning_effort"], "none");
  EXPECT_EQ(chat_of({{"reasoning", {{"effort", "low"}}}, {"thinking_token_budget", 7}},
                    all)["thinking_token_budget"],
            7);
  EXPECT_FALSE(chat_of({{"reasoning", {{"effort", "low"}}}}, {.closes_thoughts = false})
                   .contains("thinking_token_budget"));
}

TEST_F(Responses, FormatsAreThoseOfChat) {
  const Json body = {{"input", "x"},
                     {"text",
                      {{"format",
                        {{"type", "json_schema"},
                         {"name", "n"},
                         {"strict", true},
                         {"schema", {{"type", "object"}}}}}}}};
  EXPECT_EQ(
      read_responses_request(body, {.new_id = {}}).chat["response_format"],
      (Json{{"type", "json_schema"},
            {"json_schema", {{"name", "n"}, {"schema", {{"type", "object"}}}, {"strict", true}}}}));
  EXPECT_EQ(refused({{"text", {{"format", {{"type", "json_schema"}}}}}}).param(),
            "text.format.schema");
  EXPECT_EQ(refused({{"text", {{"format", {{"type", "xml"}}}}}}).param(), "text.format.type");
}

TEST_F(Responses, Logprobs) {
  say("a b");
  const auto all = events({{"include", {"message.output_text.logprobs"}}, {"top_logprobs", 2}});
  const Json last = accumulate(all);
  const Json& entries = last["output"][0]["content"][0]["logprobs"];
  std::string text;
  for (const Json& entry : entries) {
    text += entry["token"].get<std::string>();
    EXPECT_EQ(entry["top_logprobs"].size(), 2u);
  }
  EXPECT_EQ(text, "a b");
}

TEST_F(Responses, EmptyInputIsAProbe) {
  for (const Json& input : {Json(""), Json::array()}) {
    EXPECT_EQ(respond({{"input", input}, {"max_output_tokens", 1}}).status, 200);
    EXPECT_EQ(last_prompt(), "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n");
  }
}

TEST_F(Responses, RefusalsByName) {
  EXPECT_EQ(post(kPath, Json::object()).param(), "input");
  EXPECT_EQ(refused({{"background", true}}).param(), "background");
  EXPECT_EQ(refused({{"conversation", "c"}}).param(), "conversation");
  EXPECT_EQ(refused({{"prompt", {{"id", "p"}}}}).param(), "prompt");
  EXPECT_EQ(refused({{"n", 2}}).param(), "n");
  EXPECT_EQ(refused({{"context_management", {{{"type", "compaction"}}}}}).param(),
            "context_management");
  EXPECT_EQ(refused({{"previous_response_id", "resp_1"}}).code(), "previous_response_not_found");
  EXPECT_EQ(refused({{"input", {{{"type", "item_reference"}, {"id", "m"}}}}}).param(), "input[0]");
  EXPECT_EQ(refused({{"input",
                      {{{"role", "user"},
                        {"content", {{{"type", "input_image"}, {"image_url", "data:"}}}}}}}})
                .param(),
            "input[0].content[0]");
  EXPECT_EQ(refused({{"input", {{{"type", "function_call"}, {"name", "f"}}}}}).param(),
            "input[0].call_id");
  EXPECT_EQ(refused({{"input", {{{"role", "tool"}, {"content", "x"}}}}}).param(), "input[0].role");
  EXPECT_EQ(refused({{"input", 7}}).param(), "input");
  EXPECT_EQ(refused({{"tools", {{{"type", "function"}, {"name", "a b"}}}}}).param(),
            "tools[0].name");
  EXPECT_EQ(refused({{"temperature", 9}}).param(), "temperature");
  EXPECT_EQ(refused({{"truncation", "middle"}}).param(), "truncation");
}

// A client that streams shortens its conversation on this event; a 400 would end it.
TEST_F(Responses, ContextOverflow) {
  std::string words;
  for (int i = 0; i < 3000; ++i) words += "word ";
  const Reply whole = refused({{"input", words}});
  EXPECT_EQ(whole.code(), "context_length_exceeded");
  EXPECT_EQ(whole.param(), "input");
  const auto all = events({{"input", words}});
  EXPECT_EQ(
      names_of(all),
      (std::vector<std::string>{"response.created", "response.in_progress", "response.failed"}));
  const Json& failed = all.back().data["response"];
  EXPECT_EQ(failed["status"], "failed");
  EXPECT_EQ(failed["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(failed["id"], all.front().data["response"]["id"]);
}

TEST_F(Responses, FailureInTheStream) {
  generator->forced_finish = FinishReason::error;
  const auto all = events(Json::object());
  EXPECT_EQ(all.back().name, "response.failed");
  EXPECT_EQ(all.back().data["response"]["error"]["code"], "internal_error");
  EXPECT_EQ(last_exchange->response.body.find("scripted"), std::string::npos);
  EXPECT_EQ(respond(Json::object()).status, 500);
  generator->forced_finish.reset();
  generator->refusal = Error(ErrorKind::busy, "the queue is full");
  EXPECT_EQ(respond({{"stream", false}}).status, 429);
}

// What the front writes when it has to end a stream: the next number, and no [DONE].
TEST_F(Responses, TheFrontsLastEvent) {
  say("x");
  const auto all = events(Json::object());
  const auto last = read_events(last_exchange->form.last_event("going down", "shutting_down"));
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0].name, "error");
  EXPECT_EQ(last[0].data["code"], "shutting_down");
  EXPECT_EQ(last[0].data["sequence_number"], static_cast<int64_t>(all.size()));
}

TEST_F(Responses, SealedThoughts) {
  for (const std::string text : {"", "a", "ab", "abc", "Grüße\n"}) {
    EXPECT_EQ(open_thought(seal_thought(text)), text);
  }
  for (const std::string text : {"", "AQ", "AQ=", "!!!!", "AgEC", "Af8=", "AQ==AQ=="}) {
    EXPECT_EQ(open_thought(text), std::nullopt) << text;
  }
  say("<think>\nhm\n</think>\n\nYes.");
  const Json item = respond({{"include", {"reasoning.encrypted_content"}}}).json["output"][0];
  EXPECT_EQ(open_thought(item["encrypted_content"]), "hm");
  EXPECT_FALSE(respond(Json::object()).json["output"][0].contains("encrypted_content"));
}

TEST_F(Responses, CountsInputTokens) {
  const Json body = {{"input", "Hi"}, {"instructions", "Be brief."}};
  const Reply counted = ask("/v1/responses/input_tokens", body);
  EXPECT_EQ(counted.json["object"], "response.input_tokens");
  EXPECT_TRUE(generator->requests.empty());
  EXPECT_EQ(counted.json["input_tokens"], respond(body).json["usage"]["input_tokens"]);
}

}  // namespace
}  // namespace qwen3::server
