// A head of its own in the files of a model whose config.json says that it has none.
#pragma once

#include "formats/tensor_source.h"

namespace qwen3 {

// With tie_word_embeddings, official files may hold the embedding table a second time as lm_head.weight.
// If what is there differs from the table, config.json or the head is wrong, and with either the model
// would answer without a word of it: throws Error{corrupt_file} naming the first row that differs.
// Reads both, on `n_threads`; throws what reading does.
void check_tied_head(const TensorSource& files, int n_threads);

}  // namespace qwen3
