// The tokenizer inside a GGUF file, as the converter of llama.cpp leaves it.
//
//   tokenizer.ggml.tokens        one text per id: byte-level for ordinary tokens, plain for added ones
//   tokenizer.ggml.token_type    1 ordinary, 3 added and special, 4 added and not, 5 no token (padding)
//   tokenizer.ggml.merges        "left right", by rank
//
// Lost on the way, and put back here: NFC, which the Qwen2 family normalises to, and that the six
// tokens of code completion (<|fim_prefix|> …) are not special.
#pragma once

#include "formats/gguf_file.h"
#include "tokenizer/tokenizer_json.h"

namespace qwen3 {

bool has_gguf_tokenizer(const GgufFile& file);

// A whole tokenizer.json under tokenizer.huggingface.json is preferred. Throws Error naming file and
// key: not_found if there is no tokenizer, corrupt_file, unsupported for one that is not Qwen's.
TokenizerSpec read_tokenizer_gguf(const GgufFile& file);

}  // namespace qwen3
