// evaluate: the forward pass of one whole sequence, for tools: logits of every position,
// perplexity, taps. Nothing is sampled. It has a KV cache of its own, in float32 unless told
// otherwise, and may run beside an engine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/kv_cache.h"
#include "engine/model_runner.h"
#include "qwen3/model.h"
#include "tensor/tensor.h"
#include "trace/span_log.h"
#include "trace/tap.h"

namespace qwen3 {

// logits [n_rows, vocab_size], float32: of positions first_row, first_row + 1 … Valid during the
// call.
using OnLogits = std::function<void(int64_t first_row, const Tensor& logits)>;

// Who listens is borrowed for the pass, and may be null.
struct EvaluationOptions {
  // Sees the tensors. The whole sequence is then one chunk, so that each of them has all rows.
  Tap* tap = nullptr;
  // Gets the time of every operation of this pass, and of no other pass of the model.
  SpanLog* operations = nullptr;
  std::string_view kv_dtype = "auto";  // as EngineOptions; auto: the most exact
  int64_t first_row = 0;  // logits are wanted from here on; a tap wants all: REQUIRES 0 with it
};

// Calls on_logits with consecutive chunks. Throws Error{invalid_argument} for ids out of the
// vocabulary, no ids, or more than the context length; Error{out_of_memory} when buffers and cache
// do not fit.
void evaluate(Model& model,
              std::span<const int32_t> ids,
              const EvaluationOptions& options,
              const OnLogits& on_logits);

// The same, pulled chunk by chunk. What evaluate() and LogitStream (qwen3/logits.h) are made of.
class Evaluation {
 public:
  // Borrows model, ids, and who listens.
  Evaluation(Model& model, std::span<const int32_t> ids, const EvaluationOptions& options);

  struct Rows {
    int64_t first_row;
    Tensor logits;  // [n_rows, vocab_size], valid until the next call
  };
  std::optional<Rows> next();

 private:
  Tensor forward(int64_t begin, int64_t n_tokens, int64_t n_logit_rows);

  Model& model_;
  std::span<const int32_t> ids_;
  Tap* tap_;
  int64_t first_row_, logit_chunk_, token_chunk_;
  int64_t at_ = 0;  // tokens done
  KvCacheShape shape_;
  std::unique_ptr<ModelRunner> runner_;
  std::vector<int32_t> positions_, blocks_;
  std::vector<int64_t> slots_;
};

}  // namespace qwen3
