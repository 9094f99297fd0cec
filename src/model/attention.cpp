#include "model/attention.h"

#include <cmath>

namespace qwen3 {
namespace {

// The cache of a layer is as wide as the widest of the model's: others leave the end of it alone.
KvLayer narrow(const KvLayer& kv, int64_t n_kv_heads) {
  if (kv.k.dim(2) == n_kv_heads) return kv;
  const auto cut = [&](const Tensor& t) {
    return Tensor(t.data(), t.dtype(), {t.dim(0), t.dim(1), n_kv_heads, t.dim(3)}, t.place());
  };
  return {cut(kv.k), cut(kv.v)};
}

}  // namespace

void attention(const Tensor& x, const Norm& norm, const Layer& layer, Run& run) {
  const AttentionWeights& w = layer.weights.self_attn;
  const HfConfig& c = run.config;
  const Buffers& b = run.buffers;
  if (!w.q_proj.weight) {  // a rank without heads in this layer
    run.project_and_add(x, {}, w.o_proj, "o_proj");
    return;
  }
  const int64_t n_heads = w.q_proj.weight.n_out() / c.head_dim;
  const int64_t n_kv_heads = w.k_proj.weight.n_out() / c.head_dim;
  const Tensor q = run.narrow(b.q, n_heads * c.head_dim), mix = run.narrow(b.mix, q.dim(1));
  const Tensor k = run.narrow(b.k, n_kv_heads * c.head_dim), v = run.narrow(b.v, k.dim(1));
  const auto per_head = [&](const Tensor& flat) {  // [n_tokens, heads * head_dim] → 3-D
    return flat.reshape({flat.dim(0), flat.dim(1) / c.head_dim, c.head_dim});
  };

  run.showing({"input_layernorm", "q_proj", "k_proj", "v_proj"}, [&] {
    // h = norm(x)                  [n_tokens, hidden_size]
    // q, k, v = projections of h   [n_tokens, n_heads * head_dim], twice n_kv_heads * head_dim
    run.ops.norm_qkv({q, k, v}, b.h, x, norm, {&w.q_proj, &w.k_proj, &w.v_proj});
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
    run.ops.attend(per_head(mix),
                   per_head(q),
                   per_head(k),
                   per_head(v),
                   narrow(layer.kv, n_kv_heads),
                   run.batch,
                   norm_rope,
                   causal);
  });
  run.tap("mix", mix);                              // [n_tokens, n_heads * head_dim]
  run.project_and_add(x, mix, w.o_proj, "o_proj");  // x += mix · o_projᵀ
}

}  // namespace qwen3
