// evaluate: the forward pass of one whole sequence, for tools: logits of every position,
// perplexity, taps. Nothing is sampled. It has a KV cache of its own, in float32, and may run
// beside an engine.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "qwen3/model.h"
#include "tensor/tensor.h"
#include "trace/tap.h"

namespace qwen3 {

// logits [n_rows, vocab_size], float32: of positions first_row, first_row + 1 … Valid during the
// call.
using OnLogits = std::function<void(int64_t first_row, const Tensor& logits)>;

// Calls on_logits with consecutive chunks. With a tap the whole sequence is one chunk, so that
// every tapped tensor has all rows. `tap` may be null. Throws Error{invalid_argument} for ids out
// of the vocabulary, no ids, or more than the context length; Error{out_of_memory} when buffers and
// cache do not fit.
void evaluate(Model& model, std::span<const int32_t> ids, Tap* tap, const OnLogits& on_logits);

}  // namespace qwen3
