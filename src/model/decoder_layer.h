// One decoder layer: attention, then the dense or sparse feed-forward, both pre-norm and residual.
#pragma once

#include "model/run.h"
#include "model/weights.h"

namespace qwen3 {

// A layer of the model, with its place in the KV cache.
struct Layer {
  int64_t index;
  const LayerWeights& weights;
  const KvLayer& kv;
};

// x: [n_tokens, hidden_size], the residual stream, updated in place.
void decoder_layer(const Tensor& x, const Layer& layer, Run& run);

}  // namespace qwen3
