// The chat template and special tokens that a model directory holds.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "chat/message.h"
#include "chat/template.h"

namespace qwen3 {

struct ChatConfig {
  std::optional<ChatTemplate> chat;      // nothing for base models that have no template
  std::optional<ChatTemplate> tool_use;  // a second template used when tools are given, if named so
  TemplateTokens special_tokens;

  // The template for a request. Throws Error{not_found} when the model has none.
  const ChatTemplate& template_for(bool with_tools) const;
};

// Reads chat_template.jinja and additional_chat_templates/tool_use.jinja if they are there, else `chat_template` of tokenizer_config.json (a string
// or a list of {name, template}), and the special tokens of tokenizer_config.json (strings or
// {"content": ...}). Either file may be absent. Of GGUF (formats/gguf_path.h): the templates
// tokenizer.chat_template and tokenizer.chat_template.tool_use, and the texts of its tokens; bos_token
// is left out where the file says that none is put before a text.
ChatConfig load_chat_config(const std::filesystem::path& path);

// A template file of the user's in place of the checkpoint's templates, the one for tools too.
// Throws Error{not_found}, and as ChatTemplate::parse.
void use_template(ChatConfig& config, const std::filesystem::path& file);

}  // namespace qwen3
