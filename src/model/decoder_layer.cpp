#include "model/decoder_layer.h"

#include "model/attention.h"
#include "model/mlp.h"
#include "model/moe.h"

namespace qwen3 {

void decoder_layer(const Tensor& x,
                   const LayerWeights& layer,
                   const HfConfig& c,
                   int64_t layer_index,
                   const KvLayer& kv,
                   const BoundBatch& batch,
                   Run& run) {
  run.scope(layer_index);
  attention(x, layer, c, layer_index, kv, batch, run);

  const Tensor& h = run.buffers.h;
  run.ops.rms_norm(h, x, layer.post_attention_layernorm, static_cast<float>(c.rms_norm_eps));
  run.tap("post_attention_layernorm", h);

  run.scope(layer_index, "mlp.");
  if (const auto* dense = std::get_if<MlpWeights>(&layer.mlp)) {
    mlp(x, h, *dense, run);
  } else {
    moe(x, h, std::get<MoeWeights>(layer.mlp), c, run);
  }
  run.scope(layer_index);
  run.tap("output", x);
}

}  // namespace qwen3
