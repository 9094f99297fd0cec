#include "chat/template_files.h"

#include <array>
#include <string>

#include "base/error.h"
#include "base/mapped_file.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTemplateBytes = 4 << 20;
constexpr size_t kMaxConfigBytes = 64 << 20;  // added_tokens_decoder can be long

constexpr std::array kSpecialTokens = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

// A special token is a string, or an object with its content.
std::optional<std::string> token_content(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_object()) return std::nullopt;
  const auto content = value.find("content");
  if (content == value.end() || !content->is_string()) return std::nullopt;
  return content->get<std::string>();
}

// The template's text in tokenizer_config.json, if it has one.
std::optional<std::string> template_source(const Json& config, const std::string& where) {
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  QWEN3_CHECK(found->is_array(),
              ErrorKind::corrupt_file,
              "{}: chat_template: expected a string or a list of named templates; got {}",
              where,
              found->type_name());
  for (const Json& entry : *found) {
    const bool named = entry.is_object() && entry.contains("name") && entry.contains("template");
    if (named && entry.at("name") == "default" && entry.at("template").is_string()) {
      return entry.at("template").get<std::string>();
    }
  }
  fail(ErrorKind::unsupported,
       "{}: chat_template: expected one named \"default\" in the list; got none",
       where);
}

}  // namespace

ChatTemplate load_chat_template(const fs::path& path) {
  return ChatTemplate::parse(read_text_file(path, kMaxTemplateBytes), path.string());
}

TemplateFiles load_template_files(const fs::path& directory) {
  TemplateFiles files;
  const fs::path template_path = directory / "chat_template.jinja";
  if (fs::exists(template_path)) files.chat_template = load_chat_template(template_path);
  const fs::path config_path = directory / "tokenizer_config.json";
  if (!fs::exists(config_path)) return files;
  const std::string where = config_path.string();
  const Json config = parse_json(read_text_file(config_path, kMaxConfigBytes), where);
  QWEN3_CHECK(config.is_object(),
              ErrorKind::corrupt_file,
              "{}: expected a JSON object; got {}",
              where,
              config.type_name());
  for (const char* key : kSpecialTokens) {
    const auto found = config.find(key);
    if (found == config.end()) continue;
    if (const auto content = token_content(*found)) files.special_tokens[key] = *content;
  }
  if (!files.chat_template) {
    if (const auto source = template_source(config, where)) {
      files.chat_template = ChatTemplate::parse(*source, where + ": chat_template");
    }
  }
  return files;
}

}  // namespace qwen3
