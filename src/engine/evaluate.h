// evaluate: the forward pass of one whole sequence, for tools: logits of every position,
// perplexity, taps. Nothing is sampled. It has a KV cache of its own, in float32, and may run
// beside an engine.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/kv_cache.h"
#include "model/qwen3.h"
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

// The same, pulled chunk by chunk, with logits of the rows from first_row on only. What evaluate()
// and LogitStream (qwen3/logits.h) are made of.
class Evaluation {
 public:
  // Borrows everything. A tap wants all rows: REQUIRES first_row == 0 with it.
  Evaluation(Model& model, std::span<const int32_t> ids, Tap* tap, int64_t first_row);

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
  std::optional<KvCache> kv_;
  std::optional<Qwen3> qwen3_;
  std::vector<int32_t> positions_, blocks_;
  std::vector<int64_t> slots_;
  HostBuffer logits_;
};

}  // namespace qwen3
