// The dense feed-forward block: SwiGLU (arXiv:2002.05202).
#pragma once

#include "model/run.h"
#include "model/weights.h"

namespace qwen3 {

// x += down_proj(silu(gate_proj(h)) * up_proj(h)) with h = norm(x).
// x: [n_tokens, hidden_size], the residual stream, updated in place.
void mlp(const Tensor& x, const Norm& norm, const MlpWeights& w, Run& run);

}  // namespace qwen3
