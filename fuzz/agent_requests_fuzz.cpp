// Bodies of /v1/responses and /v1/messages as chat requests. The first byte chooses the API and what
// the model's template can do; the rest is the body.
//
//   r or m (late system messages, a switch), R or M (neither)   {…}
//
// What callers rely on: what is taken makes messages of known roles with text, which the reader of
// chat requests takes, tools whose names can be called and found again, and JSON that reads back.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "chat/message.h"
#include "server/api/api_error.h"
#include "server/api/chat_request.h"
#include "server/messages/request.h"
#include "server/responses/request.h"

namespace {

using qwen3::Json;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_message(const Json& message, bool late_system, bool first) {
  const std::string role = message.at("role").get<std::string>();
  require(role == "user" || role == "assistant" || role == "tool" ||
          (role == "system" && (late_system || first)));
  require(message.at("content").is_string());
  if (role == "tool") require(message.at("tool_call_id").is_string());
  if (!message.contains("tool_calls")) return;
  require(role == "assistant" && !message["tool_calls"].empty());
}

void check_chat(const Json& chat, bool late_system) {
  const Json& messages = chat.at("messages");
  require(messages.is_array() && !messages.empty());
  for (size_t i = 0; i < messages.size(); ++i) check_message(messages[i], late_system, i == 0);
  require(qwen3::parse_messages(messages).size() == messages.size());
  if (chat.contains("tools")) {
    for (const Json& tool : chat["tools"]) {
      require(qwen3::server::is_tool_name(tool.at("function").at("name").get<std::string>()));
    }
  }
  // A number of the body may be written otherwise, but what is written stays.
  const std::string text = qwen3::dump_json(chat);
  require(qwen3::dump_json(qwen3::parse_json(text, "chat", {.max_depth = 128})) == text);
}

void check_responses(const Json& body, const qwen3::server::ChatAbilities& abilities) {
  int64_t n_ids = 0;
  qwen3::server::ResponseContext context{.abilities = abilities,
                                         .new_id = [&n_ids](std::string_view prefix) {
                                           return std::string(prefix) + std::to_string(++n_ids);
                                         }};
  context.conversation = [](const std::string& id) -> std::optional<Json> {
    if (id != "resp_1") return std::nullopt;
    return Json::parse(R"([{"role":"user","content":"before","id":"msg_0"}])");
  };
  context.item = [](const std::string&) -> std::optional<Json> {
    return Json::parse(R"({"type":"item_reference","id":"itself"})");
  };
  const auto request = qwen3::server::read_responses_request(body, context);
  check_chat(request.chat, abilities.late_system);
  for (const Json& item : request.items) require(!item.at("id").get<std::string>().empty());
  if (!request.store) require(request.items.empty());
  for (const auto& [name, tool] : request.tools.by_name) {
    require(request.tools.model_name(tool) == name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const bool able = data[0] >= 'a';
  const bool responses = data[0] == 'r' || data[0] == 'R';
  const qwen3::server::ChatAbilities abilities{able, able, able};
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const Json body = qwen3::parse_json(text, "request body");
    if (responses) {
      check_responses(body, abilities);
    } else {
      const auto request =
          qwen3::server::read_messages_request(body, abilities, qwen3::server::MaxTokens::absent);
      check_chat(request.chat, abilities.late_system);
    }
  } catch (const qwen3::server::ApiError& error) {
    require(error.status == 400);
  } catch (const qwen3::Error& error) {
    require(error.kind() == qwen3::ErrorKind::corrupt_file);  // no JSON
  }
  return 0;
}
