#include "quantize/metadata.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "chat/chat_config.h"
#include "formats/gguf_config.h"
#include "tokenizer/tokenizer_files.h"
#include "tokenizer/tokenizer_gguf.h"

namespace qwen3 {
namespace {

constexpr int64_t kBlocksOfToday = 2;  // general.quantization_version

std::optional<int32_t> id_of(const TokenizerSpec& spec, const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const auto found = std::ranges::find(spec.added_tokens, *text, &AddedToken::content);
  return found == spec.added_tokens.end() ? std::nullopt : std::optional(found->id);
}

// A reader of GGUF takes these to end an answer without being told (formats/gguf_config.h).
bool ends_by_its_text(const TokenizerSpec& spec, int32_t id) {
  const auto found = std::ranges::find(spec.added_tokens, id, &AddedToken::id);
  return found != spec.added_tokens.end() && found->special &&
         (found->content == "<|im_end|>" || found->content == "<|endoftext|>");
}

// The token that ends a turn, and what else ends an answer.
std::vector<int32_t> end_tokens(const TensorSource& source,
                                const TokenizerSpec& spec,
                                const TemplateTokens& tokens) {
  std::vector<int32_t> ids;
  const auto add = [&](int32_t id) {
    if (std::ranges::find(ids, id) != ids.end()) return;
    if (ids.empty() || !ends_by_its_text(spec, id)) ids.push_back(id);
  };
  if (const auto id = id_of(spec, tokens.eos_token)) add(*id);
  for (const int32_t id : source.generation_config().eos_token_ids) add(id);
  for (const int32_t id : source.config().eos_token_ids) add(id);
  return ids;
}

void add_templates(GgufMetadata& m, const ChatConfig& chat) {
  if (chat.chat) m.string("tokenizer.chat_template", chat.chat->source());
  if (!chat.tool_use) return;
  m.strings("tokenizer.chat_templates", std::vector<std::string>{"tool_use"});
  m.string("tokenizer.chat_template.tool_use", chat.tool_use->source());
}

}  // namespace

GgufMetadata model_metadata(const std::filesystem::path& model,
                            const TensorSource& source,
                            const Mix& mix,
                            std::string_view name) {
  const HfConfig& config = source.config();
  GgufMetadata m;
  write_gguf_config(m, config, source.name());
  const TokenizerFiles tokenizer = read_tokenizer_files(model);
  const ChatConfig chat = load_chat_config(model);
  const TokenizerSpec& spec = tokenizer.spec;
  GgufTokenIds ids{.bos = id_of(spec, chat.special_tokens.bos_token),
                   .padding = id_of(spec, chat.special_tokens.pad_token),
                   .end = end_tokens(source, spec, chat.special_tokens)};
  if (!ids.bos) ids.bos = config.bos_token_id;
  if (!ids.padding) ids.padding = config.pad_token_id;
  m.string("general.type", "model");
  m.string("general.name", name);
  m.u32("general.file_type", mix.file_type);
  m.u32("general.quantization_version", kBlocksOfToday);
  write_gguf_generation_config(m, source.generation_config());
  write_tokenizer_gguf(m, spec, ids, config.vocab_size, tokenizer.where);
  add_templates(m, chat);
  return m;
}

}  // namespace qwen3
