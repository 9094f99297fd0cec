// HeadProjection: rows of the residual stream to logits, as the end of the forward pass does it. The
// logit lens asks for it after every layer.
#pragma once

#include <cstdint>

#include "qwen3/model.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

namespace qwen3 {

class HeadProjection {
 public:
  // For up to max_rows at a time. Borrows the model, which must have a head.
  HeadProjection(const Model& model, int64_t max_rows);

  // rows [n, hidden_size] to logits [n, vocab_size], float32, valid until the next call.
  // REQUIRES: called by a tap, during a pass of this model: the pass has its backend.
  Tensor operator()(const Tensor& rows) const;

 private:
  const Model& model_;
  Storage normed_, logits_;
};

}  // namespace qwen3
