// The variables of a chat template that a request, or the server's start, may set: those that the
// template reads and does not set itself, but not the ones that the request has fields for or that
// are the checkpoint's (messages, tools, bos_token …). Values are true, false, numbers and short
// texts: no template of Qwen's takes more, and a tree could be made to cost.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "chat/template.h"
#include "qwen3/text.h"

namespace qwen3::server {

// Sorted.
std::vector<std::string> settable_variables(const ChatTemplate& chat);

// `chat_template_kwargs` as far as it can be checked without the template: names that are never
// settable and values of another kind are refused. null counts as absent.
Json read_template_variables(const Json& kwargs);

// The switch of thinking, which templates call by two names (the second is that of Hermes 4, DeepSeek V3.1 and others).
inline constexpr std::string_view kSwitch = "enable_thinking", kOtherSwitch = "thinking";
// What variables say of it, by either name; empty when they say nothing.
std::optional<bool> thinking_switch(const Json& variables);

// Refuses `name`, given as `field`, because the template does not read it; says what it reads.
[[noreturn]] void refuse_variable(const ChatTemplate& chat,
                                  const std::string& field,
                                  std::string_view name);

// --default-chat-template-kwargs: throws Error{invalid_argument} unless it is an object of variables
// that the model's template, or its template for tools, reads. `json` "": none, {}.
Json parse_default_variables(const std::string& json, const Text& text);

}  // namespace qwen3::server
