#include "trace/tracing_backend.h"

#include <algorithm>
#include <set>

#include "kernels/forwarding_backend.h"

namespace qwen3 {
namespace {

double bytes_of(const Tensor& t) { return static_cast<double>(t.numel() * dtype_size(t.dtype())); }
// As files store it: padding is not work.
double bytes_of(const Weight& w) {
  return static_cast<double>(w.n_matrices() * w.n_out() * row_bytes(w.type(), w.n_in()));
}
double count(const Tensor& t) { return static_cast<double>(t.numel()); }

// Experts that at least one token chose: only their weights are read.
double n_experts_used(const Backend& backend, const Routing& routing, const ExpertWeights& w) {
  HostBuffer buffer;
  const Tensor experts = backend.to_host(routing.experts, buffer);
  const std::set<int32_t> used(experts.i32(), experts.i32() + experts.numel());
  const int64_t first = w.leaves.first(), end = first + w.gate_proj.n_matrices();
  return static_cast<double>(
      std::ranges::count_if(used, [&](int32_t id) { return id >= first && id < end; }));
}

class TracingBackend final : public ForwardingBackend {
 public:
  TracingBackend(Backend& borrowed, SpanLog& log) : ForwardingBackend(borrowed), log_(log) {}

  void embed(const Tensor& out, const Tensor& ids, const Weight& table) override {
    const auto begin = SpanLog::Clock::now();
    inner().embed(out, ids, table);
    const double read = static_cast<double>(out.dim(0) * row_bytes(table.type(), table.n_in()));
    log_.add("embed", begin, out.dim(0), read + bytes_of(out), 0);
  }
  void fill(const Tensor& x, float value) override {
    const auto begin = SpanLog::Clock::now();
    inner().fill(x, value);
    log_.add("fill", begin, x.dim(0), bytes_of(x), 0);
  }
  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, float eps) override {
    const auto begin = SpanLog::Clock::now();
    inner().rms_norm(out, x, w, eps);
    log_.add("rms_norm", begin, x.dim(0), bytes_of(x) + bytes_of(out) + bytes_of(w), 4 * count(x));
  }
  void linear(const Tensor& out, const Tensor& x, const Linear& w) override {
    const auto begin = SpanLog::Clock::now();
    inner().linear(out, x, w);
    log_.add(
        "linear", begin, x.dim(0), product_bytes(out, x, w.weight), product_flops(x, w.weight));
  }
  void rope_rotate_half(const Tensor& x, const Tensor& cos, const Tensor& sin) override {
    const auto begin = SpanLog::Clock::now();
    inner().rope_rotate_half(x, cos, sin);
    log_.add("rope_rotate_half", begin, x.dim(0), 2 * bytes_of(x), 3 * count(x));
  }
  void kv_store(const KvLayer& kv,
                const Tensor& k,
                const Tensor& v,
                const BoundBatch& batch) override {
    const auto begin = SpanLog::Clock::now();
    inner().kv_store(kv, k, v, batch);
    const double written = 2 * count(k) * static_cast<double>(dtype_size(kv.k.dtype()));
    log_.add("kv_store", begin, k.dim(0), bytes_of(k) + bytes_of(v) + written, 0);
  }
  void attention(const Tensor& out,
                 const Tensor& q,
                 const KvLayer& kv,
                 const BoundBatch& batch,
                 const AttentionOptions& options) override {
    const auto begin = SpanLog::Clock::now();
    inner().set_observer(observer());  // the probabilities are seen inside
    inner().attention(out, q, kv, batch, options);
    inner().set_observer(nullptr);
    const Work work = attention_work(q, kv, batch.batch, options.sliding_window);
    log_.add("attention", begin, q.dim(0), work.bytes + 2 * bytes_of(q), work.flops);
  }
  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override {
    const auto begin = SpanLog::Clock::now();
    inner().silu_mul(out, gate, up);
    log_.add("silu_mul", begin, out.dim(0), 3 * bytes_of(out), 5 * count(out));
  }
  void add(const Tensor& x, const Tensor& y) override {
    const auto begin = SpanLog::Clock::now();
    inner().add(x, y);
    log_.add("add", begin, x.dim(0), 3 * bytes_of(x), count(x));
  }
  void route_top_k(const Routing& routing, const Tensor& logits, Renormalise renormalise) override {
    const auto begin = SpanLog::Clock::now();
    inner().route_top_k(routing, logits, renormalise);
    log_.add("route_top_k",
             begin,
             logits.dim(0),
             bytes_of(logits) + bytes_of(routing.weights) + bytes_of(routing.experts),
             3 * count(logits));
  }
  void gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) override {
    const auto begin = SpanLog::Clock::now();
    inner().gather_rows(out, x, rows);
    log_.add("gather_rows", begin, out.dim(0), 2 * bytes_of(out), 0);
  }
  void scatter_add_rows(const Tensor& x,
                        const Tensor& y,
                        const Tensor& rows,
                        const Tensor& scales) override {
    const auto begin = SpanLog::Clock::now();
    inner().scatter_add_rows(x, y, rows, scales);
    log_.add("scatter_add_rows", begin, y.dim(0), 3 * bytes_of(y), 2 * count(y));
  }

  void linears(std::initializer_list<Tensor> outs,
               const Tensor& x,
               std::initializer_list<const Linear*> ws) override {
    const auto begin = SpanLog::Clock::now();
    inner().linears(outs, x, ws);
    double bytes = bytes_of(x), flops = 0;
    for (const Tensor& out : outs) bytes += bytes_of(out);
    for (const Linear* w : ws) {
      bytes += bytes_of(w->weight);
      flops += product_flops(x, w->weight);
    }
    log_.add("linears", begin, x.dim(0), bytes, flops);
  }
  void linear_add(const Tensor& x, const Tensor& y, const Linear& w) override {
    const auto begin = SpanLog::Clock::now();
    inner().linear_add(x, y, w);
    const double bytes = product_bytes(x, y, w.weight) + bytes_of(x);
    log_.add("linear_add", begin, y.dim(0), bytes, product_flops(y, w.weight) + count(x));
  }
  void qk_norm_rope(const Tensor& q, const Tensor& k, const QkNormRope& options) override {
    if (observer() != nullptr) {
      Backend::qk_norm_rope(q, k, options);
      return;
    }
    const auto begin = SpanLog::Clock::now();
    inner().qk_norm_rope(q, k, options);
    log_.add("qk_norm_rope",
             begin,
             q.dim(0),
             2 * (bytes_of(q) + bytes_of(k)),
             7 * (count(q) + count(k)));
  }
  void experts_sum(const Tensor& out,
                   const Tensor& h,
                   const ExpertWeights& experts,
                   const Routing& routing) override {
    if (observer() != nullptr) {
      Backend::experts_sum(out, h, experts, routing);
      return;
    }
    const auto begin = SpanLog::Clock::now();
    inner().experts_sum(out, h, experts, routing);
    log_experts("experts_sum", begin, out, h, experts, routing);
  }
  void experts_add(const Tensor& x,
                   const Tensor& h,
                   const ExpertWeights& experts,
                   const Routing& routing) override {
    if (observer() != nullptr) {
      Backend::experts_add(x, h, experts, routing);
      return;
    }
    const auto begin = SpanLog::Clock::now();
    inner().experts_add(x, h, experts, routing);
    log_experts("experts_add", begin, x, h, experts, routing);
  }

 private:
  struct Work {
    double bytes = 0, flops = 0;
  };

  void log_experts(const char* name,
                   SpanLog::Clock::time_point begin,
                   const Tensor& out,
                   const Tensor& h,
                   const ExpertWeights& experts,
                   const Routing& routing) {
    const auto n_experts = static_cast<double>(experts.gate_proj.n_matrices());
    double parameters = 0, bytes = 0;  // of all experts
    for (const Weight* w : {&experts.gate_proj, &experts.up_proj, &experts.down_proj}) {
      parameters += static_cast<double>(w->numel());
      bytes += bytes_of(*w);
    }
    const double weight_bytes = bytes / n_experts * n_experts_used(inner(), routing, experts);
    log_.add(name,
             begin,
             h.dim(0),
             weight_bytes + bytes_of(h) + 2 * bytes_of(out),
             2 * parameters / n_experts * count(routing.experts));
  }

  static double product_bytes(const Tensor& out, const Tensor& x, const Weight& w) {
    return bytes_of(out) + bytes_of(x) + bytes_of(w);
  }
  static double product_flops(const Tensor& x, const Weight& w) {
    return 2 * static_cast<double>(x.dim(0) * w.numel());
  }
  // Keys and values are read once per sequence; each query multiplies those that it sees twice.
  static Work attention_work(const Tensor& q,
                             const KvLayer& kv,
                             const Batch& batch,
                             int64_t sliding_window) {
    Work work;
    const double key_size = static_cast<double>(kv.k.dim(2) * kv.k.dim(3));
    for (size_t s = 0; s < batch.kv_lens.size(); ++s) {
      const int64_t n_rows = batch.cu_seqlens_q[s + 1] - batch.cu_seqlens_q[s];
      const int64_t kv_len = batch.kv_lens[s];
      work.bytes += 2 * static_cast<double>(kv_len) * key_size *
                    static_cast<double>(dtype_size(kv.k.dtype()));
      for (int64_t r = 0; r < n_rows; ++r) {
        int64_t seen = kv_len - n_rows + r + 1;
        if (sliding_window > 0) seen = std::min(seen, sliding_window);
        work.flops += 4 * static_cast<double>(seen * q.dim(1) * q.dim(2));
      }
    }
    return work;
  }

  SpanLog& log_;
};

}  // namespace

std::unique_ptr<Backend> make_tracing_backend(Backend& inner, SpanLog& log) {
  return std::make_unique<TracingBackend>(inner, log);
}

}  // namespace qwen3
