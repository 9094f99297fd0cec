// The feed-forward blocks. h is the normalised input, x the residual stream; both
// [n_tokens, hidden_size].
#pragma once

#include "model/run.h"
#include "model/weights.h"

namespace qwen3 {

// SwiGLU (arXiv:2002.05202): x += down_proj(silu(gate_proj(h)) * up_proj(h)).
void mlp(const Tensor& x, const Tensor& h, const MlpWeights& w, Run& run);

}  // namespace qwen3
