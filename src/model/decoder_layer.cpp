#include "model/decoder_layer.h"

#include "model/attention.h"
#include "model/mlp.h"
#include "model/moe.h"

namespace qwen3 {

void decoder_layer(const Tensor& x, const Layer& layer, Run& run) {
  const LayerWeights& w = layer.weights;
  run.scope(layer.index, "self_attn.");
  attention(x, run.norm(w.input_layernorm), layer, run);
  run.scope(layer.index);
  run.tap("attn_residual", x);

  run.scope(layer.index, "mlp.");
  const Norm norm = run.norm(w.post_attention_layernorm);
  if (const auto* dense = std::get_if<MlpWeights>(&w.mlp)) {
    mlp(x, norm, *dense, run);
  } else {
    moe(x, norm, std::get<MoeWeights>(w.mlp), run);
  }
  run.scope(layer.index);
  run.tap("output", x);
}

}  // namespace qwen3
