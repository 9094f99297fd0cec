// Reads tokenizer.json (Hugging Face `tokenizers`), or vocab.json + merges.txt, into plain data.
//
// Accepted is what byte-level BPE models of the Qwen family and GPT-2 use; every other component is
// refused by name, never ignored, so that ids cannot silently differ from Hugging Face's. Fields
// that do not change the ids are skipped: truncation and padding (set per call), trim_offsets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe_text.h"
#include "tokenizer/pretokenizer.h"

namespace qwen3 {

// Of any of its files. The largest in use (a vocabulary of 262 thousand) has 33 MB.
inline constexpr size_t kMaxTokenizerBytes = size_t{128} << 20;

enum class Normalization { none, nfc };

struct TokenizerSpec {
  BpeText model;
  std::vector<AddedToken> added_tokens;
  Normalization normalization = Normalization::none;
  SplitPattern split_pattern = SplitPattern::qwen2;
  std::vector<int32_t> prefix_ids, suffix_ids;  // what the post-processor puts around a text
};

// `where` begins every message. Throws Error{corrupt_file, unsupported}.
TokenizerSpec read_tokenizer_json(std::string_view text, std::string_view where);

// The older pair of files. They say nothing about the pre-tokenizer: Qwen2's is assumed.
TokenizerSpec read_vocab_and_merges(const std::filesystem::path& vocab_json,
                                    const std::filesystem::path& merges_txt);

// Bounds the search for added tokens. Throws Error{unsupported}.
void check_added_tokens(const std::vector<AddedToken>& tokens, std::string_view where);

// Adds the tokens of tokenizer_config.json's added_tokens_decoder that `spec` does not know yet.
void add_tokens_of_config(TokenizerSpec& spec, std::string_view text, std::string_view where);

}  // namespace qwen3
