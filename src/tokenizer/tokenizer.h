// Text to token ids and back, equal to Hugging Face `tokenizers` on byte-level BPE files.
//
//   text ─ added tokens ─ NFC ─ pieces ─ BPE ─ ids          ids ─ bytes ─ lossy UTF-8 ─ text
//
// A Tokenizer is immutable: any number of threads may use one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/pretokenizer.h"

namespace qwen3 {

class GgufFile;
struct TokenizerSpec;

// What an added token's content in the text becomes. `as_text`: ordinary characters, so that text
// from a user can never become a control token; the result holds no added token's id (unless one of
// them is a single byte of the vocabulary).
enum class ControlTokens { parse, as_text };

// What decoding does with added tokens that are special.
enum class SpecialTokens { keep, skip };

class Tokenizer {
 public:
  using ControlTokens = qwen3::ControlTokens;
  using SpecialTokens = qwen3::SpecialTokens;

  // Of a directory: reads tokenizer.json, or else vocab.json and merges.txt; and from
  // tokenizer_config.json, if present, the added tokens that are missing so far. Of GGUF
  // (formats/gguf_path.h): what the file holds.
  // Throws Error{not_found, corrupt_file, unsupported}.
  static Tokenizer load(const std::filesystem::path& path);

  static Tokenizer from_gguf(const GgufFile& file);

  // One tokenizer.json; `where` begins every message.
  static Tokenizer from_json(std::string_view tokenizer_json, std::string_view where);

  // Ids of `text`, without the post-processor's tokens. Throws Error{invalid_argument} when the
  // text is not well-formed UTF-8 (the message has the byte offset) or is longer than 1 GiB.
  std::vector<int32_t> encode(std::string_view text,
                              ControlTokens mode = ControlTokens::parse) const;

  // The same with the tokens that the file's post-processor puts around a text: Qwen3-Embedding
  // appends <|endoftext|>; the language models add none.
  std::vector<int32_t> encode_with_post_processor(std::string_view text,
                                                  ControlTokens mode = ControlTokens::parse) const;

  // Ids without a token are skipped; bytes that are not UTF-8 become U+FFFD, one for each maximal
  // ill-formed part.
  std::string decode(std::span<const int32_t> ids,
                     SpecialTokens special = SpecialTokens::keep) const;

  // The bytes that `id` stands for (an added token: its content); empty for ids without a token.
  std::string_view token_bytes(int32_t id) const { return bpe_.vocabulary().bytes(id); }

  // The token with exactly these bytes: token_to_id(" the"), token_to_id("<|im_end|>").
  std::optional<int32_t> token_to_id(std::string_view content) const;

  bool is_special(int32_t id) const { return has_flag(id, kSpecial); }
  bool is_added(int32_t id) const { return has_flag(id, kAdded); }

  // The largest id + 1. Ids from here on are padding rows of the model and must not be sampled.
  int32_t size() const { return bpe_.vocabulary().size(); }

  // In the order of the file.
  std::span<const AddedToken> added_tokens() const { return added_tokens_; }

 private:
  static constexpr uint8_t kAdded = 1, kSpecial = 2;

  Tokenizer(TokenizerSpec&& spec, std::string_view where);

  bool has_flag(int32_t id, uint8_t flag) const {
    return id >= 0 && id < size() && (flags_[static_cast<size_t>(id)] & flag) != 0;
  }
  void check_text(std::string_view text) const;

  Bpe bpe_;
  std::vector<AddedToken> added_tokens_;
  AddedTokenMatcher raw_matcher_;         // tokens with normalized = false
  AddedTokenMatcher normalized_matcher_;  // the others
  std::vector<uint8_t> flags_;            // by id
  std::vector<int32_t> prefix_ids_, suffix_ids_;
  SplitPattern split_pattern_;
  bool nfc_;

  friend class Encoder;
};

}  // namespace qwen3
