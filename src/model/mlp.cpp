#include "model/mlp.h"

namespace qwen3 {

void mlp(const Tensor& x, const Norm& norm, const MlpWeights& w, Run& run) {
  const Buffers& b = run.buffers;
  run.showing({"post_attention_layernorm", "gate_proj", "up_proj", "act"}, [&] {
    // h = norm(x), gate = silu(h · gate_projᵀ) * (h · up_projᵀ)   [n_tokens, intermediate_size]
    run.ops.norm_mlp(b.gate, b.up, b.h, x, norm, w.gate_proj, w.up_proj);
  });
  run.project_and_add(x, b.gate, w.down_proj, "down_proj");  // x += gate · down_projᵀ
}

}  // namespace qwen3
