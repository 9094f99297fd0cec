// Tensors of a checkpoint that the model has no place for: a sign that config.json and the weights
// do not belong together, and that the answers would be wrong without a word.
#pragma once

#include <unordered_set>

#include "formats/tensor_source.h"

namespace qwen3 {

// Throws Error{corrupt_file} naming the first tensor that is not in `used` and saying what in
// config.json speaks against it: layers beyond num_hidden_layers, biases without attention_bias.
// What published Qwen3 checkpoints store beside the model is passed over: the head of a tied model,
// buffers of the rotary embedding, layers for multi-token prediction ("mtp.").
void check_all_used(const TensorSource& files, const std::unordered_set<const SourceTensor*>& used);

}  // namespace qwen3
