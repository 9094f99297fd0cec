// The streaming part of reading tokenizer.json: 450,000 strings of model.vocab and model.merges go
// straight to a BpeText; the few other values become a Json tree.
#pragma once

#include <string_view>

#include "base/json.h"
#include "tokenizer/bpe_text.h"

namespace qwen3 {

// Returns the tree with null for model.vocab and model.merges. Throws Error{corrupt_file}, with the
// same limits as parse_json, when the text is not JSON or those two have a wrong shape.
Json read_tokenizer_tree(std::string_view text, std::string_view where, BpeText& model);

// A text that is model.vocab alone: {"token": id, ...}.
void read_vocab(std::string_view text, std::string_view where, BpeText& model);

}  // namespace qwen3
