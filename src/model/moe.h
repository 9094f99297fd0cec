// The sparse feed-forward block (Qwen3-MoE, arXiv:2505.09388 section 2).
#pragma once

#include "model/run.h"
#include "model/weights.h"

namespace qwen3 {

// x += Σ_k weight_k · expert_k(h) with h = norm(x), where the weights are the top
// num_experts_per_tok of softmax(router · h) over all experts, divided by their sum if norm_topk_prob.
// x: [n_tokens, hidden_size], the residual stream, updated in place.
void moe(const Tensor& x, const Norm& norm, const MoeWeights& w, Run& run);

}  // namespace qwen3
