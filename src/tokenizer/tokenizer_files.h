// The tokenizer of a model, whichever of its files have it, as plain data.
#pragma once

#include <filesystem>
#include <string>

#include "tokenizer/tokenizer_json.h"

namespace qwen3 {

struct TokenizerFiles {
  TokenizerSpec spec;
  std::string where;  // for messages: the file that most of it is from
};

// What Tokenizer::load reads, and throws.
TokenizerFiles read_tokenizer_files(const std::filesystem::path& path);

}  // namespace qwen3
