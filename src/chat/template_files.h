// The chat template of a checkpoint, and the variables that it expects.
#pragma once

#include <filesystem>
#include <optional>

#include "base/json.h"
#include "chat/template.h"

namespace qwen3 {

// What tokenizer_config.json and chat_template.jinja of a model directory say about chats.
struct TemplateFiles {
  std::optional<ChatTemplate> chat_template;
  // bos_token, eos_token, pad_token, unk_token … as strings, those that are set.
  Json special_tokens = Json::object();
};

// chat_template.jinja, or else chat_template in tokenizer_config.json (a string, or the entry named
// "default" of a list). Files that are missing say nothing.
// Throws Error{corrupt_file} or Error{unsupported} for files that cannot be understood.
TemplateFiles load_template_files(const std::filesystem::path& directory);

// One template file. Throws Error{not_found} when it is missing.
ChatTemplate load_chat_template(const std::filesystem::path& path);

}  // namespace qwen3
