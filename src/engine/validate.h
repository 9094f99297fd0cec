// Checks a request before it enters the engine: nothing after this check meets a value out of
// range.
#pragma once

#include <cstdint>

#include "qwen3/engine.h"

namespace qwen3 {

struct RequestLimits {
  int64_t n_real_tokens = 0;  // ids are in [0, n_real_tokens)
  int64_t max_model_len = 0;
  bool has_head = true;  // false: an embedding model, without logits
  // Experts that a token goes to, those of all layers together; 0: a dense model.
  int64_t experts_per_row = 0;
};

inline constexpr int kMaxLogprobs = 20;

// Throws Error{invalid_argument} naming the field; `unsupported` for logits of an embedding model.
void validate(const Request& request, const RequestLimits& limits);

// Throws Error{invalid_argument} for options out of range.
void validate(const EngineOptions& options);

// Throws Error{invalid_argument} for a tokenizer, as options tell of one, whose ids the model lacks.
void check_tokenizer(const EngineOptions& options, int64_t vocab_size);

}  // namespace qwen3
