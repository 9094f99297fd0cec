#include "model/attention.h"

#include <cmath>

namespace qwen3 {

void attention(const Tensor& x, const Norm& norm, const Layer& layer, Run& run) {
  const AttentionWeights& w = layer.weights.self_attn;
  const HfConfig& c = run.config;
  const Buffers& b = run.buffers;
  const auto per_head = [&](const Tensor& flat) {  // [n_tokens, heads * head_dim] → 3-D
    return flat.reshape({flat.dim(0), flat.dim(1) / c.head_dim, c.head_dim});
  };

  run.showing({"input_layernorm", "q_proj", "k_proj", "v_proj"}, [&] {
    // h = norm(x)                  [n_tokens, hidden_size]
    // q, k, v = projections of h   [n_tokens, n_heads * head_dim], twice n_kv_heads * head_dim
    run.ops.norm_qkv({b.q, b.k, b.v}, b.h, x, norm, {&w.q_proj, &w.k_proj, &w.v_proj});
  });

  const QkNormRope norm_rope{.q_norm = w.q_norm,
                             .k_norm = w.k_norm,
                             .eps = norm.eps,
                             .cos = b.cos,
                             .sin = b.sin,
                             .order = c.qk_norm_after_rope ? QkNormRope::Order::rope_then_norm
                                                           : QkNormRope::Order::norm_then_rope};
  const AttentionOptions causal{
      .scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim)),
      .sliding_window = c.layer_sliding_window[static_cast<size_t>(layer.index)]};
  run.showing({"q_norm", "k_norm", "q_rope", "k_rope", "probs"}, [&] {
    // q, k = rope(norm(q, k)); the cache takes k and v; mix = softmax(q · keysᵀ · scale) · values
    run.ops.attend(per_head(b.mix),
                   per_head(b.q),
                   per_head(b.k),
                   per_head(b.v),
                   layer.kv,
                   run.batch,
                   norm_rope,
                   causal);
  });
  run.tap("mix", b.mix);                              // [n_tokens, n_heads * head_dim]
  run.project_and_add(x, b.mix, w.o_proj, "o_proj");  // x += mix · o_projᵀ
}

}  // namespace qwen3
