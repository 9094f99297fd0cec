#include "model/mlp.h"

namespace qwen3 {

void mlp(const Tensor& x, const Tensor& h, const MlpWeights& w, Run& run) {
  const Tensor& gate = run.buffers.gate;  // [n_tokens, intermediate_size]
  const Tensor& up = run.buffers.up;
  run.ops.linears({gate, up}, h, {&w.gate_proj, &w.up_proj});
  run.tap("gate_proj", gate);
  run.tap("up_proj", up);
  run.ops.silu_mul(gate, gate, up);
  run.tap("act", gate);
  run.project_and_add(x, gate, w.down_proj, "down_proj");  // x += act · down_projᵀ
}

}  // namespace qwen3
