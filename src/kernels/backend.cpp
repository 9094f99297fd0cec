// The fused operations, spelled out in primitive ones: definition, fallback and traced form in one.
#include "kernels/backend.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <vector>

#include "base/error.h"
#include "hardware/cpu_info.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/expert_groups.h"
#include "kernels/reference/reference_backend.h"

namespace qwen3 {

void Backend::for_each_row(int64_t n_rows, const RowBody& body) {
  for (int64_t row = 0; row < n_rows; ++row) body(row, 0);
}

void Backend::linears(std::initializer_list<Tensor> outs,
                      const Tensor& x,
                      std::initializer_list<const Linear*> ws) {
  assert(outs.size() == ws.size());
  for (size_t i = 0; i < outs.size(); ++i) linear(outs.begin()[i], x, *ws.begin()[i]);
}

void Backend::linear_add(const Tensor& x, const Tensor& y, const Linear& w) {
  std::vector<float> values(static_cast<size_t>(x.numel()));
  const Tensor product = Tensor::view(values, x.shape());
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

void Backend::experts_add(const Tensor& x,
                          const Tensor& h,
                          const ExpertWeights& experts,
                          const Routing& routing) {
  const int64_t hidden_size = h.dim(1);
  const int64_t intermediate_size = experts.gate_proj.n_out();
  ExpertGroups groups;
  groups.build(routing, experts.gate_proj.n_matrices());
  for (const ExpertGroups::Group& group : groups.groups()) {
    const auto n_rows = static_cast<int64_t>(group.rows.size());
    std::vector<float> inputs(static_cast<size_t>(n_rows * hidden_size)), outputs(inputs.size());
    std::vector<float> gates(static_cast<size_t>(n_rows * intermediate_size)), ups(gates.size());
    const Tensor input = Tensor::view(inputs, {n_rows, hidden_size});
    const Tensor output = Tensor::view(outputs, {n_rows, hidden_size});
    const Tensor gate = Tensor::view(gates, {n_rows, intermediate_size});
    const Tensor up = Tensor::view(ups, {n_rows, intermediate_size});

    const bool watched = observer() != nullptr;
    const std::string name = watched ? "experts." + std::to_string(group.expert) : std::string();
    gather_rows(input, h, group.rows);
    if (watched) observe(name + ".input", input);
    const Linear gate_proj{experts.gate_proj.matrix(group.expert), {}};
    const Linear up_proj{experts.up_proj.matrix(group.expert), {}};
    linears({gate, up}, input, {&gate_proj, &up_proj});
    if (watched) {
      observe(name + ".gate_proj", gate);
      observe(name + ".up_proj", up);
    }
    silu_mul(gate, gate, up);
    if (watched) observe(name + ".act", gate);
    linear(output, gate, {experts.down_proj.matrix(group.expert), {}});
    if (watched) observe(name, output);
    scatter_add_rows(x, output, group.rows, group.weights);
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
