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
         StepWindows* group_windows,
         Tap* tap)
    : ops(backend),
      config(model_config),
      batch(bound_batch),
      buffers(batch_buffers),
      windows(group_windows),
      tap_(tap) {
  if (!watched()) return;
  observer_ = [this](std::string_view name, const Tensor& value) { emit(name, value); };
}

void Run::scope(int64_t layer, std::string_view block) {
  if (windows != nullptr) windows->communicator().place.layer = static_cast<int>(layer);
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
                          const SummedLinear& w,
                          const char* name) {
  if (windows != nullptr) {
    int64_t column = 0;
    int node = 0;
    for (const Linear* part : {static_cast<const Linear*>(&w), &w.second}) {
      const int number = node++;
      if (!part->weight) continue;
      const int64_t n = part->weight.n_in();
      ops.linear(
          windows->node(number, x.dim(0)), y.columns(column, n), {part->weight, {}, part->leaves});
      column += n;
    }
    return add_sum(x, w.tree, w.bias, name);
  }
  if (!w.bias && !wants(name)) {
    ops.linear_add(x, y, w);
    return;
  }
  ops.linear(buffers.product, y, w);
  tap(name, buffers.product);
  ops.add(x, buffers.product);
}

void Run::sum_experts_and_add(const Tensor& x,
                              const Routing& routing,
                              const MoeWeights& w,
                              const char* name) {
  const std::vector<Range> nodes = nodes_of(windows->shard().leaves());
  const ExpertWeights& all = w.experts;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Leaves leaves =
        all.leaves.node(static_cast<int>(nodes[i].begin), static_cast<int>(nodes[i].end));
    const int64_t n = leaves.count(), first = leaves.first() - all.leaves.first();
    if (n == 0) continue;
    const ExpertWeights node{all.gate_proj.matrices(first, n),
                             all.up_proj.matrices(first, n),
                             all.down_proj.matrices(first, n),
                             leaves};
    showing({"experts"}, [&] {
      ops.experts_sum(windows->node(static_cast<int>(i), x.dim(0)), buffers.h, node, routing);
    });
  }
  add_sum(x, w.tree, {}, name);
}

// x += the tree over all ranks' nodes (+ bias)
void Run::add_sum(const Tensor& x, const SumTree& tree, const Tensor& bias, const char* name) {
  windows->communicator().place.what = name;
  if (!bias && !wants(name)) return windows->sum(x, SumTree::Into::add, tree);
  windows->sum(buffers.product, SumTree::Into::replace, tree);
  for (int64_t row = 0; bias && row < x.dim(0); ++row) {
    ops.add(buffers.product.rows(row, 1), bias.reshape({1, bias.dim(0)}));
  }
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
