#include "model/run.h"

#include <algorithm>

namespace qwen3 {

Buffers Buffers::first_rows(int64_t n_tokens) const {
  const auto cut = [&](const Tensor& t) { return t.rank() == 0 ? t : t.rows(0, n_tokens); };
  return {.x = cut(x),
          .h = cut(h),
          .product = cut(product),
          .q = cut(q),
          .mix = cut(mix),
          .k = cut(k),
          .v = cut(v),
          .cos = cut(cos),
          .sin = cut(sin),
          .gate = cut(gate),
          .up = cut(up),
          .router_logits = cut(router_logits),
          .gate_weights = cut(gate_weights),
          .experts = experts.rank() == 0 ? experts
                                         : Tensor(experts.data(),
                                                  experts.dtype(),
                                                  {experts.dim(0), n_tokens, experts.dim(2)},
                                                  experts.place())};
}

Buffers make_buffers(Arena& arena, const HfConfig& c, int64_t max_tokens, DType activations) {
  const auto take = [&](int64_t features) {
    return arena.take(activations, {max_tokens, features});
  };
  const auto take_f32 = [&](int64_t features) {
    return arena.take(DType::f32, {max_tokens, features});
  };
  Buffers b;
  b.x = take_f32(c.hidden_size);
  b.h = take(c.hidden_size);
  b.product = take_f32(c.hidden_size);
  b.q = take(c.num_attention_heads * c.head_dim);
  b.mix = take(c.num_attention_heads * c.head_dim);
  b.k = take(c.num_key_value_heads * c.head_dim);
  b.v = take(c.num_key_value_heads * c.head_dim);
  b.cos = take_f32(c.head_dim / 2);
  b.sin = take_f32(c.head_dim / 2);
  const int64_t n_sparse = std::ranges::count(c.layer_is_sparse, true);
  if (n_sparse < c.num_hidden_layers) {
    b.gate = take(c.intermediate_size);
    b.up = take(c.intermediate_size);
  }
  if (n_sparse > 0) {
    b.router_logits = take_f32(c.num_experts);
    b.gate_weights = take_f32(c.num_experts_per_tok);
    b.experts = arena.take(DType::i32, {n_sparse, max_tokens, c.num_experts_per_tok});
  }
  return b;
}

Run::Run(Backend& backend,
         const HfConfig& model_config,
         const BoundBatch& bound_batch,
         const Buffers& batch_buffers,
         Tap* tap)
    : ops(backend), config(model_config), batch(bound_batch), buffers(batch_buffers), tap_(tap) {
  if (!watched()) return;
  observer_ = [this](std::string_view name, const Tensor& value) { emit(name, value); };
}

void Run::scope(int64_t layer, std::string_view block) {
  if (!watched()) return;
  scope_.clear();
  if (layer >= 0) scope_.append("layers.").append(std::to_string(layer)).push_back('.');
  layer_size_ = scope_.size();
  scope_.append(block);
}

Routing Run::next_routing() {
  const Tensor& all = buffers.experts;
  const Tensor layer = all.rows(n_routed_++, 1).reshape({all.dim(1), all.dim(2)});
  return {buffers.gate_weights, layer};
}

void Run::project_and_add(const Tensor& x,
                          const Tensor& y,
                          const Linear& w,
                          std::string_view name) {
  if (!w.bias && !wants(name)) {
    ops.linear_add(x, y, w);
    return;
  }
  ops.linear(buffers.product, y, w);
  tap(name, buffers.product);
  ops.add(x, buffers.product);
}

// Until the next call.
std::string_view Run::full(std::string_view name) {
  name_.assign(scope_, 0, name.ends_with("_layernorm") ? layer_size_ : scope_.size());
  return name_.append(name);
}

bool Run::wants_any(std::initializer_list<std::string_view> names) {
  return watched() &&
         std::ranges::any_of(names, [&](std::string_view name) { return wanted(name); });
}

void Run::emit(std::string_view name, const Tensor& value) {
  const std::string_view whole = full(name);
  if (tap_->wants(whole)) tap_->tensor(whole, ops.to_host(value, host_));
}

}  // namespace qwen3
