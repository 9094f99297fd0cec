// One decoder layer: attention, then the dense or sparse feed-forward, both pre-norm and residual.
#pragma once

#include "model/run.h"
#include "model/weights.h"

namespace qwen3 {

void decoder_layer(const Tensor& x,
                   const LayerWeights& layer,
                   const HfConfig& config,
                   int64_t layer_index,
                   const KvLayer& kv,
                   const BoundBatch& batch,
                   Run& run);

}  // namespace qwen3
