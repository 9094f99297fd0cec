// CpuBackend: each operation as rows over the thread team, with the kernels of one instruction set.
// Products and attention have files of their own; the rest is small enough to be here.
#include "kernels/cpu/cpu_backend.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "hardware/thread_pool.h"
#include "kernels/cpu/block_panels.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/kv_cache.h"
#include "kernels/cpu/paged_attention.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/products.h"
#include "kernels/cpu/scratch.h"

namespace qwen3 {
namespace {

// Elements a loop must have before the team is asked: a fork and join costs about 1 µs, in which
// one core handles about 8,000 elements in L1. AMD EPYC (Zen 4), 2 cores, 2026-11-24.
constexpr int64_t kSerialElements = 16 * 1024;

class CpuBackend : public Backend {
 public:
  CpuBackend(ThreadPool& threads, CpuIsa isa, const cpu::KernelTable& kernels)
      : isa_(isa),
        kernels_(kernels),
        pool_(threads),
        products_(kernels, pool_),
        attention_(kernels, pool_) {}

  BackendInfo info() const override {
    return {"cpu", std::string(isa_name(isa_)) + ", " + cpu_info().model_name, pool_.size()};
  }

  // ---- weights and memory -------------------------------------------------------------------

  WeightType kept_type(WeightType stored, int64_t n_in) const override {
    return cpu::blocks_of(stored) ? stored : Backend::kept_type(stored, n_in);
  }

  InputRounding input_rounding(WeightType kept) const override {
    return products_.input_rounding(kept);
  }

  WeightFormat weight_format(WeightType type, int64_t n_out, int64_t n_in) const override {
    return is_plain(type) ? cpu::panel_format(type, n_out, n_in)
                          : cpu::block_format(type, n_out, n_in);
  }

  void pack_weight(const Weight& to,
                   int64_t index,
                   const WeightRows& rows,
                   int64_t row_begin) const override {
    const Weight matrix = to.matrix(index);
    if (is_plain(rows.type)) {
      cpu::pack_panels(matrix, rows, row_begin);
    } else {
      cpu::pack_blocks(matrix, rows, row_begin);
    }
  }

  void unpack_rows(const Tensor& out,
                   const Weight& from,
                   int64_t index,
                   int64_t row_begin) const override {
    const Weight matrix = from.matrix(index);
    for (int64_t r = 0; r < out.dim(0); ++r) read_row(out.f32_row(r), matrix, row_begin + r);
  }

  int64_t kv_bytes(DType type,
                   int64_t n_blocks,
                   int64_t block_size,
                   int64_t n_kv_heads,
                   int64_t head_dim) const override {
    QWEN3_CHECK(block_size % cpu::kPanel == 0,
                ErrorKind::unsupported,
                "cpu: block_size; expected a multiple of 16; got {}",
                block_size);
    if (type == DType::q8) {
      QWEN3_CHECK(head_dim <= cpu::kMaxHeadDim,
                  ErrorKind::unsupported,
                  "kv_dtype: q8; expected heads of at most {} numbers; got {}; use bfloat16",
                  cpu::kMaxHeadDim,
                  head_dim);
      return n_blocks * (block_size / cpu::kPanel) * n_kv_heads * cpu::q8_group_bytes(head_dim);
    }
    return n_blocks * block_size * n_kv_heads * cpu::padded_head_dim(head_dim) * dtype_size(type);
  }

  void reserve(const BatchLimits& limits) override {
    products_.reserve(limits.n_tokens, limits.n_features);
  }

  // ---- primitive operations -----------------------------------------------------------------

  void embed(const Tensor& out, const Tensor& ids, const Weight& table) override {
    for_rows(ids.dim(0), table.n_in(), [&](int64_t t) {
      read_row(out.f32_row(t), table, ids.i32()[t]);
    });
  }

  void fill(const Tensor& x, float value) override { std::fill_n(x.f32(), x.numel(), value); }

  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, float eps) override {
    const int64_t size = w.dim(0);
    const int64_t n_heads = x.rank() == 3 ? x.dim(1) : 1;
    for_rows(x.dim(0), n_heads * size, [&](int64_t t) {
      for (int64_t head = 0; head < n_heads; ++head) {
        kernels_.rms_norm_row(
            out.f32_row(t) + head * size, x.f32_row(t) + head * size, w.f32(), size, eps);
      }
    });
  }

  void linear(const Tensor& out, const Tensor& x, const Linear& w) override {
    const cpu::Product product = {out, w};
    products_.run({&product, 1}, x);
  }

  void rope_rotate_half(const Tensor& x, const Tensor& cos, const Tensor& sin) override {
    for_rows(x.dim(0), x.dim(1) * x.dim(2), [&](int64_t t) { rope_token(x, t, cos, sin); });
  }

  void kv_store(const KvLayer& kv,
                const Tensor& k,
                const Tensor& v,
                const BoundBatch& batch) override {
    const std::span<const int64_t> slot_mapping = batch.batch.slot_mapping;
    const cpu::KvArgs args = cpu::kv_args(kv);
    const DType type = kv.k.dtype();
    const cpu::KvStoreKernel store = type == DType::q8     ? kernels_.kv_store_q8
                                     : type == DType::bf16 ? kernels_.kv_store_bf16
                                                           : kernels_.kv_store_f32;
    // A key is spread over head_dim / 2 cache lines, most of them misses: count a line as much. It
    // shares them with its 15 neighbours in the sequence, so a task takes as many tokens of one
    // head, or threads would fight for the lines. A decode step's tokens have no neighbours.
    constexpr int64_t kElementCost = 16;
    constexpr int64_t kDecodeTokens = 64;
    const auto n_tokens = static_cast<int64_t>(slot_mapping.size());
    const int64_t per_task =
        std::min<int64_t>(n_tokens, n_tokens > kDecodeTokens ? cpu::kPanel : 4);
    if (n_tokens == 0) return;
    const int64_t n_parts = ceil_div(n_tokens, per_task);
    const int64_t cost = per_task * args.head_dim * kElementCost;
    for_rows(args.n_kv_heads * n_parts, cost, [&](int64_t row) {
      const int64_t head = row / n_parts;
      const int64_t first = row % n_parts * per_task;
      for (int64_t t = first; t < std::min(first + per_task, n_tokens); ++t) {
        store(args,
              slot_mapping[static_cast<size_t>(t)],
              head,
              k.f32_row(t) + head * args.head_dim,
              v.f32_row(t) + head * args.head_dim);
      }
    });
  }

  void attention(const Tensor& out,
                 const Tensor& q,
                 const KvLayer& kv,
                 const BoundBatch& batch,
                 const AttentionOptions& options) override {
    attention_.run(out, q, kv, batch.batch, options);
  }

  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override {
    for_rows(gate.dim(0), gate.dim(1), [&](int64_t t) {
      kernels_.silu_mul(out.f32_row(t), gate.f32_row(t), up.f32_row(t), gate.dim(1));
    });
  }

  void add(const Tensor& x, const Tensor& y) override {
    const int64_t size = x.dim(0) == 0 ? 0 : x.numel() / x.dim(0);
    for_rows(x.dim(0), size, [&](int64_t t) { kernels_.add(x.f32_row(t), y.f32_row(t), size); });
  }

  void route_top_k(const Routing& routing, const Tensor& logits, Renormalise renormalise) override {
    const int64_t n_experts = logits.dim(1);
    assert(routing.weights.dim(1) <= n_experts);
    auto* scratch = route_scratch_.get<float>(n_experts * pool_.size());
    constexpr int64_t kElementCost = 4;  // exp and the search for the largest
    for_rows_with_thread(logits.dim(0), n_experts * kElementCost, [&](int64_t t, int thread) {
      cpu::RouteArgs args;
      args.logits = logits.f32_row(t);
      args.n_experts = n_experts;
      args.top_k = routing.weights.dim(1);
      args.renormalise = renormalise == Renormalise::yes;
      args.weights = routing.weights.f32_row(t);
      args.experts = routing.experts.i32() + t * routing.experts.row_stride();
      args.scratch = scratch + n_experts * thread;
      kernels_.route(args);
    });
  }

  void gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) override {
    const int64_t size = x.dim(1);
    for_rows(rows.dim(0), size, [&](int64_t i) {
      std::memcpy(
          out.f32_row(i), x.f32_row(rows.i32()[i]), static_cast<size_t>(size) * sizeof(float));
    });
  }

  // Rows may repeat, so they are taken one after the other.
  void scatter_add_rows(const Tensor& x,
                        const Tensor& y,
                        const Tensor& rows,
                        const Tensor& scales) override {
    for (int64_t i = 0; i < rows.dim(0); ++i) {
      kernels_.add_scaled(x.f32_row(rows.i32()[i]), y.f32_row(i), scales.f32()[i], x.dim(1));
    }
  }

  // ---- fused operations ---------------------------------------------------------------------

  void linears(std::initializer_list<Tensor> outs,
               const Tensor& x,
               std::initializer_list<const Linear*> ws) override {
    fused_.clear();
    for (size_t i = 0; i < outs.size(); ++i) fused_.push_back({outs.begin()[i], *ws.begin()[i]});
    products_.run(fused_, x);
  }

  void linear_add(const Tensor& x, const Tensor& y, const Linear& w) override {
    if (w.bias) return Backend::linear_add(x, y, w);  // product and bias are summed before x
    const cpu::Product product = {x, w, cpu::Write::add};
    products_.run({&product, 1}, y);
  }

  void qk_norm_rope(const Tensor& q, const Tensor& k, const QkNormRope& options) override {
    if (observer() != nullptr) return Backend::qk_norm_rope(q, k, options);
    const int64_t head_dim = q.dim(2);
    const auto norm_token = [&](const Tensor& x, int64_t t, const Tensor& w) {
      for (int64_t head = 0; head < x.dim(1); ++head) {
        float* row = x.f32_row(t) + head * head_dim;
        kernels_.rms_norm_row(row, row, w.f32(), head_dim, options.eps);
      }
    };
    const bool norm_first = options.order == QkNormRope::Order::norm_then_rope;
    for_rows(q.dim(0), (q.dim(1) + k.dim(1)) * head_dim, [&](int64_t t) {
      for (const auto& [x, w] : {std::pair(&q, &options.q_norm), std::pair(&k, &options.k_norm)}) {
        if (norm_first) norm_token(*x, t, *w);
        rope_token(*x, t, options.cos, options.sin);
        if (!norm_first) norm_token(*x, t, *w);
      }
    });
  }

  void experts_sum(const Tensor& out,
                   const Tensor& h,
                   const ExpertWeights& experts,
                   const Routing& routing) override {
    if (observer() != nullptr || !products_.can_fuse(experts)) {
      return Backend::experts_sum(out, h, experts, routing);
    }
    products_.experts_sum(out, h, experts, routing, cpu::Write::store);
  }
  void experts_add(const Tensor& x,
                   const Tensor& h,
                   const ExpertWeights& experts,
                   const Routing& routing) override {
    if (observer() != nullptr || !products_.can_fuse(experts)) {
      return Backend::experts_add(x, h, experts, routing);
    }
    products_.experts_sum(x, h, experts, routing, cpu::Write::add);
  }

 private:
  static void read_row(float* out, const Weight& matrix, int64_t row) {
    if (is_plain(matrix.type())) {
      cpu::read_row(out, matrix, row);
    } else {
      cpu::read_block_row(out, matrix, row);
    }
  }

  // body(row, thread) for all rows, on the team if there is enough to do. row_cost is in elements.
  template <typename Body>
  void for_rows_with_thread(int64_t n_rows, int64_t row_cost, const Body& body) {
    if (n_rows * row_cost < kSerialElements || pool_.size() == 1) {
      for (int64_t row = 0; row < n_rows; ++row) body(row, 0);
      return;
    }
    const int64_t rows_per_task =
        std::max<int64_t>(1, kSerialElements / 2 / std::max<int64_t>(1, row_cost));
    pool_.parallel_for(ceil_div(n_rows, rows_per_task), [&](int64_t task, int thread) {
      const int64_t end = std::min(n_rows, (task + 1) * rows_per_task);
      for (int64_t row = task * rows_per_task; row < end; ++row) body(row, thread);
    });
  }
  template <typename Body>
  void for_rows(int64_t n_rows, int64_t row_cost, const Body& body) {
    for_rows_with_thread(n_rows, row_cost, [&](int64_t row, int) { body(row); });
  }

  void rope_token(const Tensor& x, int64_t t, const Tensor& cos, const Tensor& sin) const {
    const int64_t head_dim = x.dim(2);
    for (int64_t head = 0; head < x.dim(1); ++head) {
      kernels_.rope_head(
          x.f32_row(t) + head * head_dim, cos.f32_row(t), sin.f32_row(t), head_dim / 2);
    }
  }

  CpuIsa isa_;
  const cpu::KernelTable& kernels_;
  ThreadPool& pool_;
  cpu::Products products_;
  cpu::PagedAttention attention_;
  cpu::Scratch route_scratch_;
  std::vector<cpu::Product> fused_;
};

const cpu::KernelTable& kernels_for(CpuIsa isa) {
  const cpu::KernelTable* kernels = cpu::kernel_table(isa);
  QWEN3_CHECK(kernels != nullptr && processor_has(isa),
              ErrorKind::unsupported,
              "isa: this processor, or its operating system, lacks {}; expected at most {}",
              isa_name(isa),
              isa_name(cpu_info().best_isa));
  return *kernels;
}

// The team is a base, so that it is there before the backend and goes after it.
struct OwnTeam {
  ThreadPool threads;
};
class CpuBackendWithTeam final : OwnTeam, public CpuBackend {
 public:
  CpuBackendWithTeam(int n_threads, CpuIsa isa)
      : OwnTeam{.threads = ThreadPool(n_threads)}, CpuBackend(threads, isa, kernels_for(isa)) {}
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int n_threads, CpuIsa isa) {
  return std::make_unique<CpuBackendWithTeam>(n_threads, isa);
}

std::unique_ptr<Backend> make_cpu_backend(ThreadPool& threads, CpuIsa isa) {
  return std::make_unique<CpuBackend>(threads, isa, kernels_for(isa));
}

}  // namespace qwen3
