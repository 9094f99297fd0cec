// Turns: the messages of a chat request, made of the finer pieces of other APIs. What an assistant
// thought, said and called one after the other is one message, as templates expect it.
//
//   reasoning, text, call, call │ result, result │ text
//   └─ one assistant message ─┘   two of "tool"    the next assistant message
#pragma once

#include <string>

#include "base/json.h"
#include "qwen3/text.h"

namespace qwen3::server {

// What the model's chat template can do, found out once.
struct ChatAbilities {
  bool late_system = true;      // a system message may stand behind others
  bool thinking_switch = true;  // the template reads enable_thinking or thinking
  bool closes_thoughts = true;  // the tokenizer has </think>, so a thought can have a budget
};

// All false without a chat template.
ChatAbilities chat_abilities(const Text& text, bool closes_thoughts);

class Turns {
 public:
  explicit Turns(bool late_system) : late_system_(late_system) {}

  // What stands before everything else becomes one message; a later one is the user's where the
  // template takes no system message there.
  void system(const std::string& text);
  void user(const std::string& text);
  void reasoning(const std::string& text);
  void assistant(const std::string& text);
  void call(const std::string& id, const std::string& name, const std::string& arguments);
  void tool_result(const std::string& call_id, const std::string& text);

  bool empty() const { return messages_.empty(); }
  // Whether the last message is the assistant's text, which the answer might continue.
  bool ends_in_assistant_text() const;
  Json take() { return std::move(messages_); }

 private:
  Json& assistant_turn();
  void add(const char* role, const std::string& text);

  const bool late_system_;
  Json messages_ = Json::array();
};

}  // namespace qwen3::server
