// The tokenizer inside a GGUF file, as the converter of llama.cpp leaves it, read and written.
//
//   tokenizer.ggml.tokens        one text per id: byte-level for ordinary tokens, plain for added ones
//   tokenizer.ggml.token_type    1 ordinary, 3 added and special, 4 added and not, 5 no token (padding)
//   tokenizer.ggml.merges        "left right", by rank
//
// Lost on the way, and put back here: NFC, which the Qwen2 family normalises to, and that the six
// tokens of code completion (<|fim_prefix|> …) are not special.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "formats/gguf_file.h"
#include "formats/gguf_writer.h"
#include "tokenizer/tokenizer_json.h"

namespace qwen3 {

bool has_gguf_tokenizer(const GgufFile& file);

// A whole tokenizer.json under tokenizer.huggingface.json is preferred. Throws Error naming file and
// key: not_found if there is no tokenizer, corrupt_file, unsupported for one that is not Qwen's.
TokenizerSpec read_tokenizer_gguf(const GgufFile& file);

struct GgufTokenIds {
  std::optional<int32_t> bos, padding;
  std::vector<int32_t> end;  // tokens that end an answer, the first of them most of all
};

// The keys of `spec` for a model of vocab_size rows; `where` begins messages. Throws
// Error{unsupported} naming what GGUF cannot say: another pre-tokenizer, tokens that take white space
// along, more than one token around a text, more kinds of end than it has keys for.
void write_tokenizer_gguf(GgufMetadata& metadata,
                          const TokenizerSpec& spec,
                          const GgufTokenIds& ids,
                          int64_t vocab_size,
                          std::string_view where);

}  // namespace qwen3
