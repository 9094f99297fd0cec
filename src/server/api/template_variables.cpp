#include "server/api/template_variables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "chat/text.h"
#include "server/api/fields.h"

namespace qwen3::server {
namespace {

constexpr size_t kMaxTextBytes = 1024;
constexpr std::string_view kDefaults = "--default-chat-template-kwargs";

constexpr std::array<std::string_view, 7> kReserved = {"messages",
                                                       "tools",
                                                       "documents",
                                                       "add_generation_prompt",
                                                       "continue_final_message",
                                                       "chat_template",
                                                       "tokenize"};

bool is_reserved(std::string_view name) {
  return name.ends_with("_token") || std::ranges::find(kReserved, name) != kReserved.end();
}

// "" or what is wrong with a value.
std::string fault(const Json& value) {
  if (value.is_boolean() || value.is_number()) return {};
  if (!value.is_string()) {
    return fmt::format("expected true, false, a number or a text, got {}", describe(value));
  }
  const size_t size = value.get_ref<const std::string&>().size();
  if (size <= kMaxTextBytes) return {};
  return fmt::format("expected at most {} bytes, got {}", kMaxTextBytes, size);
}

bool any_reads(const ChatConfig& chat, std::string_view name) {
  return (chat.chat && chat.chat->reads(name)) || (chat.tool_use && chat.tool_use->reads(name));
}

}  // namespace

std::vector<std::string> settable_variables(const ChatTemplate& chat) {
  std::vector<std::string> names = chat.variables();
  std::erase_if(names, [](const std::string& name) { return is_reserved(name); });
  return names;
}

std::optional<bool> thinking_switch(const Json& variables) {
  for (const std::string_view name : {kSwitch, kOtherSwitch}) {
    const auto found = variables.find(std::string(name));
    if (found != variables.end() && found->is_boolean()) return found->get<bool>();
  }
  return std::nullopt;
}

Json read_template_variables(const Json& kwargs) {
  Fields fields(kwargs, "chat_template_kwargs");
  fields.boolean("enable_thinking");
  Json variables = Json::object();
  for (const auto& [name, value] : kwargs.items()) {
    if (is_reserved(name)) {
      refuse(fields.path(name), "is not a variable that a request may set");
    }
    if (value.is_null()) continue;
    const std::string wrong = fault(value);
    if (!wrong.empty()) {
      refuse("chat_template_kwargs." + quote_for_message(name, 60), wrong);
    }
    variables[name] = value;
  }
  return variables;
}

void refuse_variable(const ChatTemplate& chat, const std::string& field, std::string_view name) {
  const std::vector<std::string> names = settable_variables(chat);
  refuse(field,
         fmt::format("this model's chat template reads no variable \"{}\"; {}",
                     quote_for_message(name, 60),
                     names.empty() ? std::string("leave it out: it reads none")
                                   : fmt::format("it reads {}", fmt::join(names, ", "))));
}

Json parse_default_variables(const std::string& json, const Text& text) {
  if (json.empty()) return Json::object();
  Json variables = parse_json(json, kDefaults);
  QWEN3_CHECK(variables.is_object(),
              ErrorKind::invalid_argument,
              "{}: expected a JSON object such as {{\"enable_thinking\":false}}, got {}",
              kDefaults,
              describe(variables));
  for (const auto& [name, value] : variables.items()) {
    QWEN3_CHECK(!is_reserved(name) && any_reads(chat_config_of(text), name),
                ErrorKind::invalid_argument,
                "{}: this model's chat template reads no variable \"{}\" that may be set",
                kDefaults,
                quote_for_message(name, 60));
    const std::string wrong = fault(value);
    QWEN3_CHECK(wrong.empty(), ErrorKind::invalid_argument, "{}: {}: {}", kDefaults, name, wrong);
  }
  return variables;
}

}  // namespace qwen3::server
