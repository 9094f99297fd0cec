// The end of the forward pass on its own: any rows of the residual stream to logits. The logit lens
// asks for it after every layer.
#pragma once

#include "formats/hf_config.h"
#include "model/weights.h"

namespace qwen3 {

// logits = lm_head · norm(x).   logits [n_rows, vocab_size], normed and x [n_rows, hidden_size].
// REQUIRES: a model with a head; n_rows within the limits that the backend reserved.
void project_logits(const Tensor& logits,
                    const Tensor& normed,
                    const Tensor& x,
                    const Weights& weights,
                    const HfConfig& config,
                    Backend& backend);

}  // namespace qwen3
