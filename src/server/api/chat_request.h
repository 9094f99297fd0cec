// POST /v1/chat/completions: the request, checked, and the prompt it makes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "chat/message.h"
#include "qwen3/text.h"
#include "server/api/answer.h"
#include "server/api/fields.h"
#include "server/api/generation_fields.h"
#include "server/api/reasoning_control.h"

namespace qwen3::server {

// The part of a chat request that makes a prompt; /tokenize and /apply-template take it too.
struct ChatPromptFields {
  std::vector<Message> messages;
  Json tools = nullptr;
  PromptOptions prompt;
  std::string effort = {};  // reasoning_effort; "": absent
};

struct ChatRequest {
  enum class ToolChoice { none, automatic, required };

  GenerationFields common;
  ChatPromptFields chat;
  ToolChoice tool_choice = ToolChoice::none;  // none also when there are no tools
  std::string forced_tool = {};               // required: this one; "": any
  bool parallel_tool_calls = true;
  std::optional<int64_t> thinking_budget = {};
  bool include_reasoning = true;
  ThoughtSwitch end_thought = {};  // null: the request asked for no control of its thought
};

// Whether a function may be called that.
bool is_tool_name(std::string_view name);

// Reads messages, tools, template variables. Developer messages become system messages.
ChatPromptFields read_chat_prompt(Fields& fields, const ApiLimits& limits);
EncodedChat encode_chat_prompt(const ServedModel& model, const ChatPromptFields& chat);

ChatRequest read_chat_request(Fields& fields,
                              const ServedModel& model,
                              const ServiceOptions& options);

// How the answers of this request are read.
AnswerPlan answer_plan(const ChatRequest& request,
                       PromptState state,
                       const ServedModel& model,
                       const ServiceOptions& options);

// The requests of the engine: n of them, whose seeds count up. Throws the context error. `relaxed`: the tools
// whose schemas were widened.
std::vector<Request> chat_requests(std::vector<std::string>& relaxed,
                                   const ChatRequest& request,
                                   const EncodedChat& prompt,
                                   const HttpRequest& http,
                                   const ServedModel& model,
                                   const ServiceOptions& options);

}  // namespace qwen3::server
