#include "tokenizer/tokenizer_gguf.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <unordered_map>

#include "base/error.h"
#include "base/json.h"

namespace qwen3 {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";
constexpr std::string_view kWholeFile = "tokenizer.huggingface.json";
constexpr size_t kMaxWordBytes = 256;
constexpr GgufFile::IntRange kInt32 = {std::numeric_limits<int32_t>::min(),
                                       std::numeric_limits<int32_t>::max()};

enum TokenType : int64_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

// Special in no file of Qwen's; the converter takes every <|…|> for a control token.
constexpr std::array<std::string_view, 6> kNotSpecial = {"<|fim_prefix|>",
                                                         "<|fim_middle|>",
                                                         "<|fim_suffix|>",
                                                         "<|fim_pad|>",
                                                         "<|repo_name|>",
                                                         "<|file_sep|>"};

bool is_code_completion(std::string_view text) {
  return std::ranges::find(kNotSpecial, text) != kNotSpecial.end();
}

// What the file says of its algorithm and of its pre-tokenizer must be what we have.
void read_kind(TokenizerSpec& spec, const GgufFile& file) {
  constexpr std::string_view kModel = "tokenizer.ggml.model", kPre = "tokenizer.ggml.pre";
  for (const std::string_view key : {kModel, kPre, kTokens, kTypes, kMerges}) {
    QWEN3_CHECK(file.has(key),
                file.has(kTokens) ? ErrorKind::corrupt_file : ErrorKind::not_found,
                "{}: {}: expected this key, got none; is it a model without its tokenizer?",
                file.name(),
                key);
  }
  if (*file.string(kModel, kMaxWordBytes) != "gpt2") {
    file.unsupported(kModel, "gpt2 (byte-level BPE)");
  }
  const std::string pre = *file.string(kPre, kMaxWordBytes);
  if (pre != "qwen2" && pre != "deepseek-r1-qwen") {
    file.unsupported(kPre, "qwen2 or deepseek-r1-qwen");
  }
  spec.split_pattern = SplitPattern::qwen2;
  spec.normalization = pre == "qwen2" ? Normalization::nfc : Normalization::none;
}

[[noreturn]] void refuse_token(const GgufFile& file,
                               std::string_view key,
                               size_t id,
                               std::string_view text,
                               ErrorKind kind,
                               std::string_view problem) {
  fail(kind, "{}: {}[{}]: \"{}\": {}", file.name(), key, id, quote_for_message(text), problem);
}

void read_tokens(TokenizerSpec& spec, const GgufFile& file) {
  const GgufStrings tokens = *file.strings(kTokens, kMaxTokenizerBytes);
  const std::vector<int64_t> types = *file.integers(kTypes, kInt32, tokens.size());
  if (types.size() != tokens.size()) {
    file.refuse(kTypes, fmt::format("{} integers, one for each token", tokens.size()));
  }
  std::unordered_map<std::string_view, size_t> added;
  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string_view text = tokens[id];
    const int64_t type = types[id];
    if (type == kUnused) continue;
    if (type == kNormal) {
      spec.model.vocab.push_back({spec.model.keep(text), static_cast<int64_t>(id)});
      continue;
    }
    if (type != kControl && type != kUserDefined) {
      refuse_token(file,
                   kTypes,
                   id,
                   text,
                   ErrorKind::unsupported,
                   fmt::format("expected the type 1, 3, 4 or 5, got {}", type));
    }
    if (text.empty() || !added.emplace(text, id).second) {
      refuse_token(file,
                   kTokens,
                   id,
                   text,
                   ErrorKind::corrupt_file,
                   "expected every added token once, and none empty");
    }
    spec.added_tokens.push_back({.id = static_cast<int32_t>(id),
                                 .content = std::string(text),
                                 .normalized = false,
                                 .special = type == kControl && !is_code_completion(text)});
  }
  check_added_tokens(spec.added_tokens, file.name());
}

void read_merges(TokenizerSpec& spec, const GgufFile& file) {
  const GgufStrings merges = *file.strings(kMerges, kMaxTokenizerBytes);
  spec.model.merges.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) spec.model.add_merge_line(merges[i], file.name());
}

// The token that is put around a text if the file says so; the models for embeddings end with one.
void read_affix(std::vector<int32_t>& ids, const GgufFile& file, std::string_view which) {
  if (!file.boolean(fmt::format("tokenizer.ggml.add_{}_token", which)).value_or(false)) return;
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", which);
  const auto id = file.integer(key, {0, std::numeric_limits<int32_t>::max() - 1});
  QWEN3_CHECK(id.has_value(),
              ErrorKind::corrupt_file,
              "{}: {}: expected this key beside add_{}_token, got none",
              file.name(),
              key,
              which);
  ids = {static_cast<int32_t>(*id)};
}

// ---- writing -------------------------------------------------------------------------------------

void demand(bool met, std::string_view where, std::string_view what, std::string_view expected) {
  QWEN3_CHECK(met,
              ErrorKind::unsupported,
              "{}: {}: expected {}, got something that GGUF cannot say",
              where,
              what,
              expected);
}

void write_tokens(GgufMetadata& m,
                  const TokenizerSpec& spec,
                  int64_t vocab_size,
                  std::string_view where) {
  const auto n = static_cast<size_t>(vocab_size);
  std::vector<std::string> tokens(n);
  std::vector<int32_t> types(n, kUnused);
  const auto put = [&](int64_t id, std::string_view text, TokenType type) {
    QWEN3_CHECK(id >= 0 && id < vocab_size,
                ErrorKind::corrupt_file,
                "{}: token \"{}\": expected an id below {}, the model's vocab_size; got {}",
                where,
                quote_for_message(text),
                vocab_size,
                id);
    tokens[static_cast<size_t>(id)] = text;
    types[static_cast<size_t>(id)] = type;
  };
  for (const BpeText::Entry& entry : spec.model.vocab) {
    put(entry.id, spec.model.at(entry.spelling), kNormal);
  }
  for (const AddedToken& token : spec.added_tokens) {
    demand(!token.lstrip && !token.rstrip && !token.single_word,
           where,
           fmt::format("added_tokens: \"{}\"", quote_for_message(token.content)),
           "lstrip, rstrip and single_word to be false");
    // The converter has it so, and who reads the file takes it back.
    const bool control = token.special || is_code_completion(token.content);
    put(token.id, token.content, control ? kControl : kUserDefined);
  }
  for (size_t id = 0; id < n; ++id) {
    if (types[id] == kUnused) tokens[id] = fmt::format("[PAD{}]", id);
  }
  m.strings(kTokens, tokens);
  m.i32s(kTypes, types);
}

void write_merges(GgufMetadata& m, const TokenizerSpec& spec, std::string_view where) {
  std::vector<std::string> merges;
  merges.reserve(spec.model.merges.size());
  for (const auto& [left, right] : spec.model.merges) {
    merges.push_back(fmt::format("{} {}", spec.model.at(left), spec.model.at(right)));
    demand(std::ranges::count(merges.back(), ' ') == 1,
           where,
           fmt::format("model.merges[{}]", merges.size() - 1),
           "two parts without spaces");
  }
  m.strings(kMerges, merges);
}

// Whether `ids`, which the post-processor puts on one side of a text, are the one `token`.
bool is_affix(const std::vector<int32_t>& ids,
              std::optional<int32_t> token,
              std::string_view where) {
  if (ids.empty()) return false;
  demand(ids.size() == 1 && token == ids.front(),
         where,
         "post_processor",
         "at most bos_token before a text and the end token after it");
  return true;
}

void write_ids(GgufMetadata& m,
               const TokenizerSpec& spec,
               const GgufTokenIds& ids,
               std::string_view where) {
  constexpr std::string_view kEndKeys[] = {"eos", "eot", "eom"};
  const auto put = [&](std::string_view name, int32_t id) {
    m.u32(fmt::format("tokenizer.ggml.{}_token_id", name), id);
  };
  demand(ids.end.size() <= std::size(kEndKeys), where, "eos_token_id", "at most three end tokens");
  for (size_t i = 0; i < ids.end.size(); ++i) put(kEndKeys[i], ids.end[i]);
  if (ids.bos) put("bos", *ids.bos);
  if (ids.padding) put("padding", *ids.padding);
  std::optional<int32_t> end;
  if (!ids.end.empty()) end = ids.end.front();
  m.boolean("tokenizer.ggml.add_bos_token", is_affix(spec.prefix_ids, ids.bos, where));
  if (is_affix(spec.suffix_ids, end, where)) m.boolean("tokenizer.ggml.add_eos_token", true);
}

}  // namespace

void write_tokenizer_gguf(GgufMetadata& m,
                          const TokenizerSpec& spec,
                          const GgufTokenIds& ids,
                          int64_t vocab_size,
                          std::string_view where) {
  demand(spec.split_pattern == SplitPattern::qwen2, where, "pre_tokenizer", "Qwen2's expression");
  demand(spec.model.ignore_merges == IgnoreMerges::no, where, "model.ignore_merges", "false");
  m.string("tokenizer.ggml.model", "gpt2");
  const bool nfc = spec.normalization == Normalization::nfc;
  m.string("tokenizer.ggml.pre", nfc ? "qwen2" : "deepseek-r1-qwen");
  write_tokens(m, spec, vocab_size, where);
  write_merges(m, spec, where);
  write_ids(m, spec, ids, where);
}

bool has_gguf_tokenizer(const GgufFile& file) { return file.has(kTokens) || file.has(kWholeFile); }

TokenizerSpec read_tokenizer_gguf(const GgufFile& file) {
  if (const auto text = file.string(kWholeFile, kMaxTokenizerBytes)) {
    return read_tokenizer_json(*text, fmt::format("{}: {}", file.name(), kWholeFile));
  }
  TokenizerSpec spec;
  read_kind(spec, file);
  read_tokens(spec, file);
  read_merges(spec, file);
  read_affix(spec.prefix_ids, file, "bos");
  read_affix(spec.suffix_ids, file, "eos");
  return spec;
}

}  // namespace qwen3
