// The fused operations, spelled out in primitive ones: definition, fallback and traced form in one.
#include "kernels/backend.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/available_memory.h"
#include "base/checksum64.h"
#include "base/error.h"
#include "hardware/cpu_info.h"
#include "hardware/thread_pool.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/expert_groups.h"
#include "kernels/reference/reference_backend.h"

namespace qwen3 {

Storage Backend::allocate(int64_t bytes) const { return Storage(bytes); }

int64_t Backend::available_bytes() const { return available_memory_bytes(); }

WeightType Backend::kept_type(WeightType stored, int64_t) const {
  return is_plain(stored) ? stored : WeightType::f32;
}

Backend::InputRounding Backend::input_rounding(WeightType) const {
  return activation_dtype() == DType::bf16 ? InputRounding::bfloat16 : InputRounding::none;
}

void Backend::upload(const Tensor& to, const void* from) const {
  std::memcpy(to.data(), from, static_cast<size_t>(to.numel() * dtype_size(to.dtype())));
}

Tensor Backend::to_host(const Tensor& from, HostBuffer&) const { return from; }

BoundBatch Backend::bind(const Batch& batch, Watched) {
  return {.batch = batch,
          .token_ids = Tensor::view(batch.token_ids),
          .positions = Tensor::view(batch.positions),
          .logit_rows = Tensor::view(batch.logit_rows),
          .hidden_rows = Tensor::view(batch.hidden_rows)};
}

void Backend::step(const BoundBatch&,
                   std::initializer_list<const void*>,
                   const std::function<void()>& forward) {
  forward();
}

bool Backend::scan(const Tensor&, int64_t, HostBuffer&, std::vector<RowScan>&) { return false; }

Arena Backend::scratch(int64_t bytes) {
  if (scratch_.bytes() < bytes) scratch_ = allocate(bytes);
  return Arena(scratch_);
}

std::optional<int32_t> Backend::sum_pieces(WeightType, const WholeMatrix&) const { return 0; }

std::unique_ptr<PeerWindow> Backend::make_peer_window(int64_t, int) { return nullptr; }

uint64_t Backend::checksum(const Tensor& x) const {
  return checksum64({static_cast<const std::byte*>(x.data()),
                     static_cast<size_t>(x.numel() * dtype_size(x.dtype()))});
}

void Backend::embed_own(const Tensor& out, const Tensor& ids, const Weight& own, int64_t first) {
  const int64_t n = ids.dim(0), n_own = own ? own.n_out() : 0;
  std::vector<int32_t> rows(static_cast<size_t>(n));
  std::vector<bool> is_own(static_cast<size_t>(n));
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t row = ids.i32()[i] - first;
    is_own[i] = row >= 0 && row < n_own;
    rows[i] = is_own[i] ? static_cast<int32_t>(row) : 0;
  }
  if (own) embed(out, Tensor::view(std::span<const int32_t>(rows)), own);
  for (int64_t i = 0; i < n; ++i) {
    if (!is_own[static_cast<size_t>(i)]) fill(out.rows(i, 1), 0);
  }
}

void Backend::linears(std::initializer_list<Tensor> outs,
                      const Tensor& x,
                      std::initializer_list<const Linear*> ws) {
  assert(outs.size() == ws.size());
  for (size_t i = 0; i < outs.size(); ++i) linear(outs.begin()[i], x, *ws.begin()[i]);
}

void Backend::linear_add(const Tensor& x, const Tensor& y, const Linear& w) {
  Arena arena = scratch(x.numel() * 4);
  const Tensor product = arena.take(DType::f32, x.shape());
  linear(product, y, w);
  add(x, product);
}

void Backend::qk_norm_rope(const Tensor& q, const Tensor& k, const QkNormRope& options) {
  const auto norm = [&] {
    rms_norm(q, q, options.q_norm, options.eps);
    rms_norm(k, k, options.k_norm, options.eps);
    observe("q_norm", q);
    observe("k_norm", k);
  };
  const auto rope = [&] {
    rope_rotate_half(q, options.cos, options.sin);
    rope_rotate_half(k, options.cos, options.sin);
    observe("q_rope", q);
    observe("k_rope", k);
  };
  if (options.order == QkNormRope::Order::norm_then_rope) {
    norm();
    rope();
  } else {
    rope();
    norm();
  }
}

namespace {

// Of one expert's tokens, at most all of them.
struct ExpertBuffers {
  Tensor input, output;                              // [n_tokens, hidden_size]
  Tensor gate, up;                                   // [n_tokens, moe_intermediate_size]
  Tensor rows;                                       // [n_tokens] int32
  Tensor weights;                                    // [n_tokens]
  std::array<Tensor, LeafSteps::kMaxSums - 1> sums;  // [n_tokens, hidden_size] float32
};

ExpertBuffers take_expert_buffers(Arena& arena, const Tensor& h, int64_t intermediate_size) {
  const int64_t n_tokens = h.dim(0);
  const auto sum = [&] { return arena.take(DType::f32, h.shape()); };
  return {.input = arena.take(h.dtype(), h.shape()),
          .output = sum(),
          .gate = arena.take(h.dtype(), {n_tokens, intermediate_size}),
          .up = arena.take(h.dtype(), {n_tokens, intermediate_size}),
          .rows = arena.take(DType::i32, {n_tokens}),
          .weights = arena.take(DType::f32, {n_tokens}),
          .sums = {sum(), sum(), sum()}};
}

}  // namespace

void Backend::experts_sum(const Tensor& out,
                          const Tensor& h,
                          const ExpertWeights& experts,
                          const Routing& routing) {
  const int64_t intermediate_size = experts.gate_proj.n_out();
  const int64_t n_experts = experts.gate_proj.n_matrices();
  Arena measure;
  take_expert_buffers(measure, h, intermediate_size);
  Arena arena = scratch(measure.used());
  const ExpertBuffers all = take_expert_buffers(arena, h, intermediate_size);

  HostBuffer host_weights, host_experts;
  ExpertGroups groups;
  groups.build({to_host(routing.weights, host_weights), to_host(routing.experts, host_experts)},
               experts.leaves.first(),
               n_experts);
  // x[rows] += weights · expert(h[rows])
  const auto add_expert = [&](const Tensor& x, const ExpertGroups::Group& group) {
    const auto n_rows = static_cast<int64_t>(group.rows.size());
    const Tensor input = all.input.rows(0, n_rows), output = all.output.rows(0, n_rows);
    const Tensor gate = all.gate.rows(0, n_rows), up = all.up.rows(0, n_rows);
    const Tensor rows = all.rows.rows(0, n_rows), weights = all.weights.rows(0, n_rows);
    upload(rows, group.rows.data());
    upload(weights, group.weights.data());
    const Linear gate_proj{experts.gate_proj.matrix(group.matrix), {}};
    const Linear up_proj{experts.up_proj.matrix(group.matrix), {}};
    const Linear down_proj{experts.down_proj.matrix(group.matrix), {}};

    const bool watched = observer() != nullptr;
    const std::string name = watched ? "experts." + std::to_string(group.expert) : std::string();
    gather_rows(input, h, rows);
    if (watched) observe(name + ".input", input);
    linears({gate, up}, input, {&gate_proj, &up_proj});
    if (watched) {
      observe(name + ".gate_proj", gate);
      observe(name + ".up_proj", up);
    }
    silu_mul(gate, gate, up);
    if (watched) observe(name + ".act", gate);
    linear(output, gate, down_proj);
    if (watched) observe(name, output);
    scatter_add_rows(x, output, rows, weights);
  };

  const std::array<Tensor, LeafSteps::kMaxSums> sums{out, all.sums[0], all.sums[1], all.sums[2]};
  const LeafSteps leaves = leaf_steps(experts.leaves, n_experts);
  size_t n_sums = 0;
  std::span<const ExpertGroups::Group> left = groups.groups();
  for (const LeafSteps::Step& leaf : leaves.steps()) {
    const Tensor& sum = sums[n_sums++];
    fill(sum, 0);
    for (; !left.empty() && left.front().matrix < leaf.end; left = left.subspan(1)) {
      add_expert(sum, left.front());
    }
    for (int i = 0; i < leaf.n_merges; ++i) {
      --n_sums;
      add(sums[n_sums - 1], sums[n_sums]);
    }
  }
  assert(n_sums == 1 && left.empty());
}

void Backend::experts_add(const Tensor& x,
                          const Tensor& h,
                          const ExpertWeights& experts,
                          const Routing& routing) {
  if (sum_.bytes() < x.numel() * 4) sum_ = allocate(x.numel() * 4);
  const Tensor product = Arena(sum_).take(DType::f32, x.shape());
  experts_sum(product, h, experts, routing);
  add(x, product);
}

void Backend::norm_qkv(std::initializer_list<Tensor> qkv,
                       const Tensor& h,
                       const Tensor& x,
                       const Norm& norm,
                       std::initializer_list<const Linear*> ws) {
  rms_norm(h, x, norm.weight, norm.eps);
  observe("input_layernorm", h);
  linears(qkv, h, ws);
  observe("q_proj", qkv.begin()[0]);
  observe("k_proj", qkv.begin()[1]);
  observe("v_proj", qkv.begin()[2]);
}

void Backend::attend(const Tensor& mix,
                     const Tensor& q,
                     const Tensor& k,
                     const Tensor& v,
                     const KvLayer& kv,
                     const BoundBatch& batch,
                     const QkNormRope& norm_rope,
                     const AttentionOptions& options) {
  qk_norm_rope(q, k, norm_rope);
  kv_store(kv, k, v, batch);
  attention(mix, q, kv, batch, options);  // shows "probs"
}

void Backend::norm_mlp(const Tensor& gate,
                       const Tensor& up,
                       const Tensor& h,
                       const Tensor& x,
                       const Norm& norm,
                       const Linear& gate_proj,
                       const Linear& up_proj) {
  rms_norm(h, x, norm.weight, norm.eps);
  observe("post_attention_layernorm", h);
  linears({gate, up}, h, {&gate_proj, &up_proj});
  observe("gate_proj", gate);
  observe("up_proj", up);
  silu_mul(gate, gate, up);
  observe("act", gate);
}

void Backend::norm_route(const Routing& routing,
                         const Tensor& logits,
                         const Tensor& h,
                         const Tensor& x,
                         const Norm& norm,
                         const Linear& router,
                         Renormalise renormalise) {
  rms_norm(h, x, norm.weight, norm.eps);
  observe("post_attention_layernorm", h);
  linear(logits, h, router);
  observe("router_logits", logits);
  route_top_k(routing, logits, renormalise);
  observe("routing_weights", routing.weights);
  observe("selected_experts", routing.experts);
}

void Backend::head(const Tensor& logits,
                   const Tensor& normed,
                   const Tensor& x,
                   const BoundBatch& batch,
                   const Norm& norm,
                   const Linear& lm_head) {
  const int64_t n_logit_rows = batch.logit_rows.dim(0), n_hidden_rows = batch.hidden_rows.dim(0);
  const Tensor for_logits = normed.rows(0, n_logit_rows);
  gather_rows(for_logits, x, batch.logit_rows);
  if (n_hidden_rows > 0) {
    gather_rows(normed.rows(n_logit_rows, n_hidden_rows), x, batch.hidden_rows);
  }
  rms_norm(normed, normed, norm.weight, norm.eps);
  observe("norm", normed);
  if (lm_head.weight) linear(logits, for_logits, lm_head);
  observe("logits", logits);
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  const int n_threads = team_size(options.n_threads);
  if (options.name == "reference") return make_reference_backend();
  if (options.name == "cuda" || (options.name == "auto" && has_cuda_device())) {
    return make_cuda_backend();
  }
  QWEN3_CHECK(options.name == "cpu" || options.name == "auto",
              ErrorKind::invalid_argument,
              "backend: expected auto, reference, cpu or cuda, got \"{}\"",
              options.name);
  const CpuIsa isa = options.isa.empty() ? cpu_info().best_isa : parse_isa(options.isa);
  if (options.threads != nullptr) return make_cpu_backend(*options.threads, isa);
  return make_cpu_backend(n_threads, isa);
}

}  // namespace qwen3
