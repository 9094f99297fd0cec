// The attention block: x += o_proj(attention(norm(x))).
#pragma once

#include "model/run.h"
#include "model/weights.h"

namespace qwen3 {

// x: [n_tokens, hidden_size], the residual stream, updated in place. `kv` receives this batch's
// keys (after norm and RoPE) and values.
void attention(const Tensor& x,
               const LayerWeights& layer,
               const HfConfig& config,
               int64_t layer_index,
               const KvLayer& kv,
               const BoundBatch& batch,
               Run& run);

}  // namespace qwen3
