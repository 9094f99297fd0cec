// The fused operations, spelled out in primitive ones: definition, fallback and traced form in one.
#include "kernels/backend.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>
#include <vector>

#include "base/available_memory.h"
#include "base/error.h"
#include "hardware/cpu_info.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/expert_groups.h"
#include "kernels/reference/reference_backend.h"

namespace qwen3 {

void Backend::for_each_row(int64_t n_rows, const RowBody& body) {
  for (int64_t row = 0; row < n_rows; ++row) body(row, 0);
}

Storage Backend::allocate(int64_t bytes) const { return Storage(bytes); }

int64_t Backend::available_bytes() const { return available_memory_bytes(); }

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

void Backend::step(const BoundBatch&, const std::function<void()>& forward) { forward(); }

Arena Backend::scratch(int64_t bytes) {
  if (scratch_.bytes() < bytes) scratch_ = allocate(bytes);
  return Arena(scratch_);
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
  Tensor input, output;  // [n_tokens, hidden_size]
  Tensor gate, up;       // [n_tokens, moe_intermediate_size]
  Tensor rows;           // [n_tokens] int32
  Tensor weights;        // [n_tokens]
};

ExpertBuffers take_expert_buffers(Arena& arena, const Tensor& h, int64_t intermediate_size) {
  const int64_t n_tokens = h.dim(0);
  return {.input = arena.take(h.dtype(), h.shape()),
          .output = arena.take(DType::f32, h.shape()),
          .gate = arena.take(h.dtype(), {n_tokens, intermediate_size}),
          .up = arena.take(h.dtype(), {n_tokens, intermediate_size}),
          .rows = arena.take(DType::i32, {n_tokens}),
          .weights = arena.take(DType::f32, {n_tokens})};
}

}  // namespace

void Backend::experts_add(const Tensor& x,
                          const Tensor& h,
                          const ExpertWeights& experts,
                          const Routing& routing) {
  const int64_t intermediate_size = experts.gate_proj.n_out();
  Arena measure;
  take_expert_buffers(measure, h, intermediate_size);
  Arena arena = scratch(measure.used());
  const ExpertBuffers all = take_expert_buffers(arena, h, intermediate_size);

  HostBuffer host_weights, host_experts;
  ExpertGroups groups;
  groups.build({to_host(routing.weights, host_weights), to_host(routing.experts, host_experts)},
               experts.gate_proj.n_matrices());
  for (const ExpertGroups::Group& group : groups.groups()) {
    const auto n_rows = static_cast<int64_t>(group.rows.size());
    const Tensor input = all.input.rows(0, n_rows), output = all.output.rows(0, n_rows);
    const Tensor gate = all.gate.rows(0, n_rows), up = all.up.rows(0, n_rows);
    const Tensor rows = all.rows.rows(0, n_rows), weights = all.weights.rows(0, n_rows);
    upload(rows, group.rows.data());
    upload(weights, group.weights.data());
    const Linear gate_proj{experts.gate_proj.matrix(group.expert), {}};
    const Linear up_proj{experts.up_proj.matrix(group.expert), {}};
    const Linear down_proj{experts.down_proj.matrix(group.expert), {}};

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
  }
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  QWEN3_CHECK(options.n_threads >= 0 && options.n_threads <= 4096,
              ErrorKind::invalid_argument,
              "threads: expected 0 (all cores) to 4096, got {}",
              options.n_threads);
  if (options.name == "reference") return make_reference_backend();
  QWEN3_CHECK(options.name == "cpu" || options.name == "auto",
              ErrorKind::invalid_argument,
              "backend: expected auto, reference or cpu, got \"{}\"",
              options.name);
  const CpuInfo& cpu = cpu_info();
  const CpuIsa isa = options.isa.empty() ? cpu.best_isa : parse_isa(options.isa);
  return make_cpu_backend(options.n_threads == 0 ? cpu.n_cores : options.n_threads, isa);
}

}  // namespace qwen3
