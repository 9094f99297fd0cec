#include "model/attention.h"

#include <cmath>

namespace qwen3 {

void attention(const Tensor& x,
               const LayerWeights& layer,
               const HfConfig& c,
               int64_t layer_index,
               const KvLayer& kv,
               const BoundBatch& batch,
               Run& run) {
  const AttentionWeights& w = layer.self_attn;
  const auto& [_, h, product, q, mix, k, v, cos, sin, gate, up, router, routing] = run.buffers;
  const int64_t n_tokens = batch.n_tokens();
  const auto eps = static_cast<float>(c.rms_norm_eps);
  const auto per_head = [&](const Tensor& flat) {  // [n_tokens, heads * head_dim] → 3-D
    return flat.reshape({n_tokens, flat.dim(1) / c.head_dim, c.head_dim});
  };

  run.ops.rms_norm(h, x, layer.input_layernorm, eps);  // [n_tokens, hidden_size]
  run.tap("input_layernorm", h);

  run.scope(layer_index, "self_attn.");
  run.ops.linears({q, k, v}, h, {&w.q_proj, &w.k_proj, &w.v_proj});
  run.tap("q_proj", q);  // [n_tokens, n_heads * head_dim]
  run.tap("k_proj", k);  // [n_tokens, n_kv_heads * head_dim]
  run.tap("v_proj", v);

  const Tensor q_heads = per_head(q), k_heads = per_head(k), mix_heads = per_head(mix);
  const QkNormRope norm_rope{.q_norm = w.q_norm,
                             .k_norm = w.k_norm,
                             .eps = eps,
                             .cos = cos,
                             .sin = sin,
                             .order = c.qk_norm_after_rope ? QkNormRope::Order::rope_then_norm
                                                           : QkNormRope::Order::norm_then_rope};
  run.observing(run.wants_any({"q_norm", "k_norm", "q_rope", "k_rope"}),
                [&] { run.ops.qk_norm_rope(q_heads, k_heads, norm_rope); });

  run.ops.kv_store(kv, k_heads, per_head(v), batch);
  const AttentionOptions causal{
      .scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim)),
      .sliding_window = c.layer_sliding_window[static_cast<size_t>(layer_index)]};
  run.observing(run.wants("probs"), [&] {  // grouped queries, paged
    run.ops.attention(mix_heads, q_heads, kv, batch, causal);
  });
  run.tap("mix", mix);                              // [n_tokens, n_heads * head_dim]
  run.project_and_add(x, mix, w.o_proj, "o_proj");  // x += mix · o_projᵀ

  run.scope(layer_index);
  run.tap("attn_residual", x);  // [n_tokens, hidden_size]
}

}  // namespace qwen3
