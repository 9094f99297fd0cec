// The attention block: x += o_proj(attention(norm(x))).
#pragma once

#include "model/decoder_layer.h"
#include "model/run.h"

namespace qwen3 {

// x: [n_tokens, hidden_size], the residual stream, updated in place. The layer's KV cache receives this
// batch's keys (after norm and RoPE) and values.
void attention(const Tensor& x, const Norm& norm, const Layer& layer, Run& run);

}  // namespace qwen3
