#include "server/api/turns.h"

#include <utility>

#include "base/error.h"
#include "chat/text.h"

namespace qwen3::server {
namespace {

// In place: there may be thousands of pieces.
void append_paragraph(Json& message, const char* field, const std::string& text) {
  Json& whole = message[field];
  if (whole.is_null()) whole = "";
  auto& before = whole.get_ref<std::string&>();
  if (!before.empty() && !text.empty()) before += "\n\n";
  before += text;
}

bool takes_late_system(const Text& text, const Json& tools) {
  static constexpr std::string_view kLate = "a word that stands behind others";
  const Json messages = {{{"role", "system"}, {"content", "first"}},
                         {{"role", "user"}, {"content", "question"}},
                         {{"role", "assistant"}, {"content", "answer"}},
                         {{"role", "system"}, {"content", kLate}},
                         {{"role", "user"}, {"content", "question"}}};
  try {
    const EncodedChat chat = encode_chat(text, parse_messages(messages), tools, {});
    return chat.prompt.find(kLate) != chat.prompt.npos;
  } catch (const Error&) {
    return false;  // templates raise an exception
  }
}

bool has_switch(const ChatTemplate& chat) {
  return chat.reads("enable_thinking") || chat.reads("thinking");
}

}  // namespace

ChatAbilities chat_abilities(const Text& text, bool closes_thoughts) {
  if (!text.has_chat_template()) return {false, false, false};
  const Json tools = {{{"type", "function"},
                       {"function",
                        {{"name", "f"},
                         {"description", "a function"},
                         {"parameters", {{"type", "object"}, {"properties", Json::object()}}}}}}};
  const ChatConfig& chat = chat_config_of(text);
  return {.late_system = takes_late_system(text, nullptr) && takes_late_system(text, tools),
          .thinking_switch =
              has_switch(chat.template_for(false)) && has_switch(chat.template_for(true)),
          .closes_thoughts = closes_thoughts};
}

void Turns::add(const char* role, const std::string& text) {
  messages_.push_back({{"role", role}, {"content", text}});
}

void Turns::system(const std::string& text) {
  if (messages_.empty()) return add("system", text);
  if (messages_.size() == 1 && messages_[0]["role"] == "system") {
    return append_paragraph(messages_[0], "content", text);
  }
  add(late_system_ ? "system" : "user", text);
}

void Turns::user(const std::string& text) { add("user", text); }

Json& Turns::assistant_turn() {
  if (messages_.empty() || messages_.back()["role"] != "assistant") add("assistant", "");
  return messages_.back();
}

void Turns::reasoning(const std::string& text) {
  append_paragraph(assistant_turn(), "reasoning_content", text);
}

void Turns::assistant(const std::string& text) {
  append_paragraph(assistant_turn(), "content", text);
}

void Turns::call(const std::string& id, const std::string& name, const std::string& arguments) {
  Json& message = assistant_turn();
  if (!message.contains("tool_calls")) {
    // The line end between a text and a call is the template's; twice, the prompt would be another
    // than the one that was answered, and not be found in the prefix cache.
    auto& text = message["content"].get_ref<std::string&>();
    text.resize(text.find_last_not_of('\n') + 1);
    message["tool_calls"] = Json::array();
  }
  message["tool_calls"].push_back(
      {{"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", arguments}}}});
}

void Turns::tool_result(const std::string& call_id, const std::string& text) {
  messages_.push_back({{"role", "tool"}, {"tool_call_id", call_id}, {"content", text}});
}

bool Turns::ends_in_assistant_text() const {
  if (messages_.empty()) return false;
  const Json& last = messages_.back();
  return last["role"] == "assistant" && !last.contains("tool_calls") && last["content"] != "";
}

}  // namespace qwen3::server
