#include "chat/chat_config.h"

#include "base/error.h"
#include "base/input_file.h"
#include "formats/gguf_file.h"
#include "formats/gguf_path.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxConfigBytes = 64 << 20;
constexpr size_t kMaxTokensBytes = 128 << 20;

std::optional<std::string> token_text(const Json& config,
                                      const char* name,
                                      const std::string& where) {
  const auto token = config.find(name);
  if (token == config.end() || token->is_null()) return std::nullopt;
  const Json& text =
      token->is_object() && token->contains("content") ? (*token)["content"] : *token;
  QWEN3_CHECK(text.is_string(),
              ErrorKind::corrupt_file,
              "{}: {}: expected a string or an object with \"content\"",
              where,
              name);
  return text.get<std::string>();
}

void read_named_templates(const Json& list, const std::string& where, ChatConfig& out) {
  for (const Json& entry : list) {
    const bool ok = entry.is_object() && entry.contains("name") && entry["name"].is_string() &&
                    entry.contains("template") && entry["template"].is_string();
    QWEN3_CHECK(ok,
                ErrorKind::corrupt_file,
                "{}: chat_template: expected a list of {{name, template}}",
                where);
    const auto name = entry["name"].get<std::string>();
    if (name != "default" && name != "tool_use") continue;
    auto chat = ChatTemplate::parse(entry["template"].get_ref<const std::string&>(),
                                    fmt::format("{}: chat_template[{}]", where, name));
    if (name == "default") {
      out.chat = std::move(chat);
    } else if (!out.tool_use) {  // a file of its own wins
      out.tool_use = std::move(chat);
    }
  }
}

std::optional<ChatTemplate> gguf_template(const GgufFile& file, const std::string& key) {
  const auto source = file.string(key, kMaxConfigBytes);
  if (!source) return std::nullopt;
  return ChatTemplate::parse(*source, fmt::format("{}: {}", file.name(), key));
}

TemplateTokens gguf_special_tokens(const GgufFile& file) {
  constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
  const auto tokens = file.strings(kTokens, kMaxTokensBytes);
  if (!tokens) return {};
  const auto text_of = [&](const char* name) -> std::optional<std::string> {
    const auto n = static_cast<int64_t>(tokens->size());
    const auto id = file.integer(fmt::format("tokenizer.ggml.{}_token_id", name), {0, n - 1});
    if (!id) return std::nullopt;
    return std::string((*tokens)[static_cast<size_t>(*id)]);
  };
  const bool has_bos = file.boolean("tokenizer.ggml.add_bos_token").value_or(true);
  return {.bos_token = has_bos ? text_of("bos") : std::nullopt,
          .eos_token = text_of("eos"),
          .pad_token = text_of("padding"),
          .unk_token = text_of("unknown")};
}

ChatConfig read_gguf_chat_config(const GgufFile& file) {
  constexpr const char* kTemplate = "tokenizer.chat_template";
  ChatConfig out;
  out.chat = gguf_template(file, kTemplate);
  if (!out.chat) out.chat = gguf_template(file, std::string(kTemplate) + ".default");
  out.tool_use = gguf_template(file, std::string(kTemplate) + ".tool_use");
  out.special_tokens = gguf_special_tokens(file);
  return out;
}

ChatConfig load_directory_chat_config(const std::filesystem::path& directory) {
  ChatConfig out;
  const auto jinja_path = directory / "chat_template.jinja";
  const auto config_path = directory / "tokenizer_config.json";
  if (const auto source = read_text_file_if_there(jinja_path, kMaxConfigBytes)) {
    out.chat = ChatTemplate::parse(*source, jinja_path.string());
  }
  const auto tools_path = directory / "additional_chat_templates" / "tool_use.jinja";
  if (const auto source = read_text_file_if_there(tools_path, kMaxConfigBytes)) {
    out.tool_use = ChatTemplate::parse(*source, tools_path.string());
  }
  const auto text = read_text_file_if_there(config_path, kMaxConfigBytes);
  if (!text) return out;
  const std::string where = config_path.string();
  const Json config = parse_json(*text, where);
  QWEN3_CHECK(config.is_object(), ErrorKind::corrupt_file, "{}: expected an object", where);
  out.special_tokens = {token_text(config, "bos_token", where),
                        token_text(config, "eos_token", where),
                        token_text(config, "pad_token", where),
                        token_text(config, "unk_token", where)};
  const auto source = config.find("chat_template");
  if (out.chat || source == config.end() || source->is_null()) return out;
  if (source->is_array()) {
    read_named_templates(*source, where, out);
    return out;
  }
  QWEN3_CHECK(source->is_string(),
              ErrorKind::corrupt_file,
              "{}: chat_template: expected a string or a list",
              where);
  out.chat = ChatTemplate::parse(source->get_ref<const std::string&>(), where + ": chat_template");
  return out;
}

}  // namespace

const ChatTemplate& ChatConfig::template_for(bool with_tools) const {
  if (with_tools && tool_use) return *tool_use;
  QWEN3_CHECK(chat.has_value(),
              ErrorKind::not_found,
              "the model has no chat template; use plain completion or give a template file");
  return *chat;
}

ChatConfig load_chat_config(const std::filesystem::path& path) {
  if (const auto gguf = find_gguf(path)) return read_gguf_chat_config(GgufFile(*gguf));
  return load_directory_chat_config(path);
}

void use_template(ChatConfig& config, const std::filesystem::path& file) {
  config.chat = ChatTemplate::parse(read_text_file(file, kMaxConfigBytes), file.string());
  config.tool_use.reset();
}

}  // namespace qwen3
