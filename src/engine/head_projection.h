// HeadProjection: rows of the residual stream to logits, as the end of the forward pass does it. The
// logit lens asks for it after every layer.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "qwen3/model.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

namespace qwen3 {

class HeadProjection {
 public:
  // For up to max_rows at a time. Borrows the model, which must have a head.
  HeadProjection(const Model& model, int64_t max_rows);

  // rows [n, hidden_size], dense, as a tap sees them, to logits [n, vocab_size], float32, on the host,
  // valid until the next call.
  // REQUIRES: called by a tap, during a pass of this model: the pass has its backend.
  Tensor operator()(const Tensor& rows);

 private:
  Storage take(int64_t features) const;

  const Model& model_;
  const int64_t max_rows_;
  Storage hidden_, normed_, logits_;
  HostBuffer on_host_;
};

}  // namespace qwen3
