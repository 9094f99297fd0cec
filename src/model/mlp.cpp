#include "model/mlp.h"

namespace qwen3 {

void mlp(const Tensor& x, const Norm& norm, const MlpWeights& w, Run& run) {
  const Buffers& b = run.buffers;
  if (!w.gate_proj.weight) {  // a rank without columns of this layer
    run.project_and_add(x, {}, w.down_proj, "down_proj");
    return;
  }
  const Tensor gate = run.narrow(b.gate, w.gate_proj.weight.n_out());
  const Tensor up = run.narrow(b.up, gate.dim(1));
  run.showing({"post_attention_layernorm", "gate_proj", "up_proj", "act"}, [&] {
    // h = norm(x), gate = silu(h · gate_projᵀ) * (h · up_projᵀ)   [n_tokens, intermediate_size]
    run.ops.norm_mlp(gate, up, b.h, x, norm, w.gate_proj, w.up_proj);
  });
  run.project_and_add(x, gate, w.down_proj, "down_proj");  // x += gate · down_projᵀ
}

}  // namespace qwen3
