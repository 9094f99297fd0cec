#include "server/messages/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/api/chat_request.h"
#include "server/api/fields.h"
#include "server/api/single_answer.h"
#include "server/messages/blocks.h"

namespace qwen3::server {
namespace {

constexpr size_t kMaxDescription = size_t{1} << 20;
constexpr int64_t kMostTokens = int64_t{1} << 30;

class MessagesReader {
 public:
  MessagesReader(const Json& body, const ChatAbilities& abilities)
      : fields_(body), abilities_(abilities), turns_(abilities.late_system) {}

  MessagesRequest read(MaxTokens max_tokens) {
    fields_.value("model");  // the handler's
    out_.stream = fields_.boolean("stream").value_or(false);
    take_chat_fields(out_.chat, fields_);
    if (const Json* stops = fields_.value("stop_sequences")) out_.chat["stop"] = *stops;
    read_length(max_tokens);
    if (const Json* system = fields_.value("system")) read_system(*system, turns_, out_.skipped);
    const Json* messages = fields_.value("messages");
    if (messages == nullptr) refuse("messages", "is missing");
    read_blocks(*messages, turns_, out_.skipped);
    read_tools();
    read_tool_choice();
    read_thinking();
    read_output();
    out_.chat["continue_final_message"] = turns_.ends_in_assistant_text();
    out_.chat["messages"] = turns_.take();
    out_.unread = fields_.unread();
    return std::move(out_);
  }

 private:
  void read_length(MaxTokens max_tokens) {
    const auto most = fields_.integer("max_tokens", 1, kMostTokens);
    if (most) {
      out_.chat["max_tokens"] = *most;
    } else if (max_tokens == MaxTokens::required) {
      refuse("max_tokens", "is missing");
    }
  }

  // Tools with another type are Anthropic's to run, or a form of input that no model here was made for.
  void read_tools() {
    const Json* tools = fields_.array("tools", 4096);
    Json made = Json::array();
    for (size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
      Fields tool((*tools)[i], fmt::format("tools[{}]", i));
      const std::string type = tool.text("type", 256).value_or("custom");
      if (type != "custom") {
        out_.skipped.add("tool", type);
        continue;
      }
      const auto name = tool.text("name", kMaxDescription);
      if (!name || !is_tool_name(*name)) {
        refuse(tool.path("name"), "expected 1 to 128 letters, digits, or any of _-.:/@");
      }
      Json function = {{"name", *name}};
      const auto description = tool.text("description", kMaxDescription);
      if (description) function["description"] = *description;
      if (const Json* schema = tool.object("input_schema")) function["parameters"] = *schema;
      if (const auto strict = tool.boolean("strict")) function["strict"] = *strict;
      made.push_back({{"type", "function"}, {"function", std::move(function)}});
    }
    if (!made.empty()) out_.chat["tools"] = std::move(made);
  }

  void read_tool_choice() {
    const Json* choice = fields_.object("tool_choice");
    if (choice == nullptr) return;
    Fields inner(*choice, "tool_choice");
    const std::string type = inner.text("type", 64).value_or("");
    const bool any_tools = out_.chat.contains("tools");
    if (inner.boolean("disable_parallel_tool_use").value_or(false)) {
      out_.chat["parallel_tool_calls"] = false;
    }
    if (type == "tool") {
      out_.chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", declared(inner)}}}};
    } else if (type == "any") {
      if (!any_tools) refuse("tool_choice", "only allowed together with tools");
      out_.chat["tool_choice"] = "required";
    } else if (type == "none") {
      if (any_tools) out_.chat["tool_choice"] = "none";
    } else if (type != "auto") {
      refuse("tool_choice.type",
             fmt::format("expected auto, any, tool or none, got \"{}\"", quote_for_message(type)));
    }
  }

  std::string declared(Fields& choice) {
    const auto name = choice.text("name", kMaxDescription);
    const Json none = Json::array();
    const Json& tools = out_.chat.contains("tools") ? out_.chat["tools"] : none;
    const bool found = name && std::ranges::any_of(tools, [&](const Json& tool) {
                         return tool["function"]["name"] == *name;
                       });
    if (!found) {
      refuse("tool_choice.name",
             fmt::format("expected a name from tools, got \"{}\"",
                         quote_for_message(name.value_or(""), 60)));
    }
    return *name;
  }

  // Absent is off, as there; a template without a switch decides by itself.
  void read_thinking() {
    const Json* thinking = fields_.object("thinking");
    std::string type = "disabled";
    if (thinking != nullptr) {
      Fields inner(*thinking, "thinking");
      type = inner.text("type", 64).value_or("");
      const auto budget = inner.integer("budget_tokens", 1, kMostTokens);
      if (budget && type == "enabled") set_budget(*budget);
      out_.omit_thinking = inner.text("display", 64).value_or("") == "omitted";
    }
    if (type == "disabled") {
      if (!chosen_by_extras()) out_.chat["reasoning_effort"] = "none";
    } else if (type == "enabled" || type == "adaptive") {
      if (abilities_.thinking_switch && !chosen_by_extras()) out_.chat["enable_thinking"] = true;
      if (type == "adaptive") read_effort();
    } else {
      refuse("thinking.type",
             fmt::format("expected enabled, adaptive or disabled, got \"{}\"",
                         quote_for_message(type)));
    }
  }

  bool chosen_by_extras() const {
    return out_.chat.contains("enable_thinking") || out_.chat.contains("chat_template_kwargs");
  }

  void read_effort() {
    const Json* output = fields_.object("output_config");
    const std::string effort = output == nullptr ? std::string() : text_at(*output, "effort");
    if (effort == "low") set_budget(1024);
    if (effort == "medium") set_budget(8192);
  }

  void set_budget(int64_t tokens) {
    if (!abilities_.closes_thoughts || out_.chat.contains("thinking_token_budget")) return;
    out_.chat["thinking_token_budget"] = tokens;
  }

  void read_output() {
    const Json* output = fields_.object("output_config");
    if (output == nullptr) return;
    Fields inner(*output, "output_config");
    const Json* format = inner.object("format");
    if (format == nullptr) return;
    Fields wanted(*format, "output_config.format");
    const std::string type = wanted.text("type", 64).value_or("");
    const Json* schema = wanted.value("schema");
    if (type != "json_schema") {
      refuse("output_config.format.type",
             fmt::format("expected \"json_schema\", got \"{}\"", quote_for_message(type)));
    }
    if (schema == nullptr) refuse("output_config.format.schema", "is missing");
    out_.chat["response_format"] = {
        {"type", "json_schema"},
        {"json_schema", {{"name", "output"}, {"schema", *schema}, {"strict", true}}}};
  }

  Fields fields_;
  const ChatAbilities& abilities_;
  Turns turns_;
  MessagesRequest out_;
};

}  // namespace

MessagesRequest read_messages_request(const Json& body,
                                      const ChatAbilities& abilities,
                                      MaxTokens max_tokens) {
  return MessagesReader(body, abilities).read(max_tokens);
}

}  // namespace qwen3::server
