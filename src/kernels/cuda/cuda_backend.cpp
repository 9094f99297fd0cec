#include "kernels/cuda/cuda_backend.h"

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "base/available_memory.h"
#include "base/checked.h"
#include "base/error.h"
#include "kernels/cuda/arguments.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/codes.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/expert_products.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/peers.h"
#include "kernels/cuda/pieces.h"
#include "kernels/cuda/recording.h"
#include "kernels/cuda/step_inputs.h"
#include "kernels/cuda/stream.h"
#include "kernels/cuda/weight_loader.h"

namespace qwen3 {
namespace cuda {
namespace {

constexpr size_t kMaxRecordings = 256;  // then all are forgotten
constexpr int64_t kMaxGroup = 16;       // query heads of a kv head

class CudaBackend final : public Backend {
 public:
  CudaBackend() : device_(device()) {}

  BackendInfo info() const override {
    return {"cuda",
            fmt::format("{}, {} multiprocessors, {}",
                        device_.name,
                        device_.n_multiprocessors,
                        format_bytes(device_.total_bytes)),
            1};
  }

  // ---- memory
  Storage allocate(int64_t bytes) const override { return device_memory(bytes); }
  int64_t available_bytes() const override { return free_device_bytes(); }
  bool shares_memory() const override { return false; }
  int64_t step_rows() const override { return 2048; }
  double measure_read_bandwidth() override {
    const int64_t bytes = std::min(int64_t{2} << 30, free_device_bytes() / 2);
    const Storage buffer = device_memory(bytes);
    return read_bandwidth(buffer.data(), bytes, stream_.get());
  }
  DType activation_dtype() const override { return DType::bf16; }
  DType widest_kv_dtype() const override { return DType::bf16; }
  void upload(const Tensor& to, const void* from) const override {
    copy(to.data(), from, to.numel() * dtype_size(to.dtype()), cudaMemcpyHostToDevice);
  }
  Tensor to_host(const Tensor& from, HostBuffer& buffer) const override {
    const int64_t n = from.numel(), bytes = n * dtype_size(from.dtype());
    if (n == 0) return {nullptr, from.dtype(), from.shape()};
    if (buffer.bytes() < 4 * n) buffer = pinned_memory(4 * n);
    if (from.dtype() != DType::bf16) {
      const auto width = static_cast<size_t>(bytes / from.dim(0));
      check(cudaMemcpy2DAsync(buffer.data(),
                              width,
                              from.data(),
                              static_cast<size_t>(from.row_stride() * dtype_size(from.dtype())),
                              width,
                              static_cast<size_t>(from.dim(0)),
                              cudaMemcpyDeviceToHost,
                              stream_.get()),
            "copying");
      stream_.wait("computing");
      return {buffer.data(), from.dtype(), from.shape()};
    }
    // From the buffer's second half to its whole: a number is read before its place is written.
    std::byte* const half = buffer.data() + 2 * n;
    copy(half, from.data(), bytes, cudaMemcpyDeviceToHost);
    for (int64_t i = 0; i < n; ++i) {
      uint16_t bits;
      std::memcpy(&bits, half + 2 * i, 2);
      const float value = bf16_to_f32(bits);
      std::memcpy(buffer.data() + 4 * i, &value, 4);
    }
    return {buffer.data(), DType::f32, from.shape()};
  }
  void synchronize() override { stream_.wait("computing"); }
  uint64_t checksum(const Tensor& x) const override {
    const int64_t bytes = x.numel() * dtype_size(x.dtype());
    assert(bytes % 4 == 0 && x.row_stride() * x.dim(0) == x.numel());
    uint64_t sum = 0;
    auto* const on_card = checksum_.at_least<uint64_t>(sizeof(sum), generation_);
    check(cudaMemsetAsync(on_card, 0, sizeof(sum), stream_.get()), "computing a checksum");
    cuda::checksum(on_card, x.data(), bytes / 4, stream_.get());
    copy(&sum, on_card, sizeof(sum), cudaMemcpyDeviceToHost);
    return sum;
  }
  std::unique_ptr<PeerWindow> make_peer_window(int64_t bytes, int rank) override {
    return cuda::make_peer_window(bytes, rank, stream_.get());
  }

  // ---- steps
  void reserve(const BatchLimits& limits) override {
    most_rows_ = std::min({most_rows_, limits.n_tokens, limits.n_logit_rows});
  }
  BoundBatch bind(const Batch& batch, Watched watched) override {
    n_recorded_rows_ = watched == Watched::yes ? 0 : rows_to_record(batch);
    return inputs_.bind(batch, n_recorded_rows_, stream_.get());
  }
  void step(const BoundBatch&,
            std::initializer_list<const void*> places,
            const std::function<void()>& forward) override {
    if (n_recorded_rows_ == 0) return forward();
    const StepShape& s = inputs_.shape();
    std::vector<const void*> all(places);
    if (recordings_.size() >= kMaxRecordings) {
      synchronize();
      recordings_.clear();
    }
    Recording& recording = recordings_[{s.n_tokens, s.table_stride, s.max_units, std::move(all)}];
    if (recording.generation != generation()) {
      // The first step of its kind finds what memory it needs. Memory that is moved here makes the second
      // one another first.
      forward();
      recording.forget();
      recording.generation = generation();
      return;
    }
    if (!recording) recording.record(stream_.get(), forward);
    recording.replay(stream_.get());
  }

  bool scan(const Tensor& logits,
            int64_t n_real,
            HostBuffer& buffer,
            std::vector<RowScan>& scans) override {
    const int64_t n_rows = logits.dim(0), bytes = n_rows * static_cast<int64_t>(sizeof(ScanResult));
    scans.clear();
    if (n_rows == 0) return true;
    auto* const results = scans_.at_least<ScanResult>(bytes, generation_);
    auto* const columns = columns_.at_least<float>(n_rows * scan_columns(n_real) * 4, generation_);
    scan_rows(results,
              columns,
              logits.f32(),
              int_of(n_rows),
              int_of(logits.dim(1)),
              int_of(n_real),
              static_cast<int>(kListed),
              stream_.get());
    if (buffer.bytes() < bytes) buffer = pinned_memory(bytes);
    copy(buffer.data(), results, bytes, cudaMemcpyDeviceToHost);
    for (int64_t r = 0; r < n_rows; ++r) {
      const ScanResult& s = reinterpret_cast<const ScanResult*>(buffer.data())[r];
      const auto n = static_cast<size_t>(std::min(s.n_listed, kMaxListed));
      scans.push_back({.finite = s.finite != 0,
                       .listed = s.n_listed <= kMaxListed,
                       .threshold = s.threshold,
                       .values = {s.values, n},
                       .ids = {s.ids, n}});
    }
    return true;
  }

  // ---- weights
  WeightType kept_type(WeightType stored, int64_t n_in) const override {
    if (is_plain(stored)) return stored == WeightType::bf16 ? stored : WeightType::f32;
    return has_codes(stored, n_in) ? stored : WeightType::bf16;
  }
  WeightFormat weight_format(WeightType type, int64_t n_out, int64_t n_in) const override {
    if (has_codes(type, n_in)) {
      return {.layout = static_cast<int32_t>(Layout::codes),
              .bytes = coded_bytes(coding_of(type), n_out, n_in),
              .row_step = kTile};
    }
    if (type == WeightType::bf16 && n_in % kTile == 0 && n_in > 0) {
      return {.layout = static_cast<int32_t>(Layout::fragments),
              .bytes = row_tiles(n_out) * column_tiles(n_in) * kTileBytes,
              .row_step = kTile};
    }
    return {.layout = static_cast<int32_t>(Layout::rows),
            .bytes = round_up(n_out * row_bytes(type, n_in), int64_t{64})};
  }
  std::optional<int32_t> sum_pieces(WeightType type, const WholeMatrix& whole) const override {
    if (!has_codes(type, whole.n_in) && (type != WeightType::bf16 || whole.n_in % kTile != 0)) {
      // A sum of its own order, which nobody can share.
      if (whole.leaves && whole.leaves.count() < whole.n_in) return std::nullopt;
      return 0;
    }
    return pieces_of(whole.n_out, whole.n_in, whole.leaves);
  }
  void pack_weight(const Weight& to,
                   int64_t index,
                   const WeightRows& rows,
                   int64_t row_begin) const override {
    loader_.load(to.matrix(index), rows, row_begin);
  }
  void unpack_rows(const Tensor& out,
                   const Weight& from,
                   int64_t index,
                   int64_t row_begin) const override {
    const Weight matrix = from.matrix(index);
    const int64_t n_rows = out.dim(0), n_in = matrix.n_in();
    std::vector<float> rows(static_cast<size_t>(n_rows * n_in));
    if (in_tiles(matrix)) {
      const Storage storage = device_memory(n_rows * n_in * 4);
      auto* const unpacked = reinterpret_cast<float*>(storage.data());
      unpack_tiles(
          unpacked, matrix.data(), coding_of(matrix), row_begin, n_rows, n_in, stream_.get());
      copy(rows.data(), unpacked, n_rows * n_in * 4, cudaMemcpyDeviceToHost);
    } else {
      const int64_t bytes = row_bytes(matrix.type(), n_in);
      std::vector<std::byte> stored(static_cast<size_t>(n_rows * bytes));
      copy(
          stored.data(), matrix.data() + row_begin * bytes, n_rows * bytes, cudaMemcpyDeviceToHost);
      for (int64_t i = 0; i < n_rows * n_in; ++i) {
        rows[static_cast<size_t>(i)] = load_f32(stored.data(), dtype_of(matrix.type()), i);
      }
    }
    for (int64_t r = 0; r < n_rows; ++r) {
      std::copy_n(rows.data() + r * n_in, n_in, out.f32_row(r));
    }
  }
  int64_t kv_bytes(DType type,
                   int64_t n_blocks,
                   int64_t block_size,
                   int64_t n_kv_heads,
                   int64_t head_dim) const override {
    QWEN3_CHECK(type == DType::bf16,
                ErrorKind::unsupported,
                "kv_dtype: the cuda backend keeps keys and values in bfloat16; got {}",
                dtype_name(type));
    QWEN3_CHECK(head_dim <= kMaxHeadDim && head_dim % 2 == 0,
                ErrorKind::unsupported,
                "head_dim: the cuda backend has kernels for even numbers up to {}; got {}",
                kMaxHeadDim,
                head_dim);
    return n_blocks * block_size * n_kv_heads * padded_head_dim(head_dim) * 2;
  }

  // ---- primitive operations
  void embed(const Tensor& out, const Tensor& ids, const Weight& table) override {
    embed_own(out, ids, table, 0);
  }
  void embed_own(const Tensor& out, const Tensor& ids, const Weight& own, int64_t first) override {
    if (!own) return fill(out, 0);
    const TableRows rows{int_of(first), int_of(own.n_out())};
    const int n_rows = int_of(ids.dim(0)), n_in = int_of(own.n_in());
    if (in_tiles(own)) {
      embed_tiles(
          out.f32(), ids.i32(), own.data(), coding_of(own), rows, n_rows, n_in, stream_.get());
    } else {
      embed_rows(out.f32(),
                 ids.i32(),
                 own.data(),
                 element_of(dtype_of(own.type())),
                 rows,
                 n_rows,
                 n_in,
                 stream_.get());
    }
  }
  void fill(const Tensor& x, float value) override {
    cuda::fill(x.data(), element_of(x.dtype()), value, x.numel(), stream_.get());
  }
  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, float eps) override {
    cuda::rms_norm(out.data(),
                   element_of(out.dtype()),
                   x.data(),
                   element_of(x.dtype()),
                   w.f32(),
                   eps,
                   x.numel() / std::max<int64_t>(w.dim(0), 1),
                   int_of(w.dim(0)),
                   stream_.get());
  }
  void linear(const Tensor& out, const Tensor& x, const Linear& w) override {
    products({out}, x, {&w}, Epilogue::store, nullptr);
  }
  void rope_rotate_half(const Tensor& x, const Tensor& cos, const Tensor& sin) override {
    rope(x.data(),
         element_of(x.dtype()),
         cos.f32(),
         sin.f32(),
         int_of(x.dim(0)),
         int_of(x.dim(1)),
         int_of(x.dim(2)),
         stream_.get());
  }
  void kv_store(const KvLayer& kv, const Tensor& k, const Tensor& v, const BoundBatch&) override {
    cuda::kv_store(kv_args(kv), k.data(), v.data(), inputs_.args(), stream_.get());
  }
  void attention(const Tensor& out,
                 const Tensor& q,
                 const KvLayer& kv,
                 const BoundBatch& batch,
                 const AttentionOptions& options) override {
    const AttentionArgs args = attention_args(out, q, kv, batch, options);
    cuda::attention(args, nullptr, stream_.get());
    if (observer() != nullptr) show_probs(args, batch.batch);
  }
  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override {
    cuda::silu_mul(
        out.data(), gate.data(), up.data(), element_of(out.dtype()), out.numel(), stream_.get());
  }
  void add(const Tensor& x, const Tensor& y) override {
    cuda::add(x.f32(), y.f32(), x.numel(), stream_.get());
  }
  void route_top_k(const Routing& routing, const Tensor& logits, Renormalise renormalise) override {
    QWEN3_CHECK(logits.dim(1) <= kMaxExperts,
                ErrorKind::unsupported,
                "num_experts: the cuda backend has kernels for up to {}; got {}",
                kMaxExperts,
                logits.dim(1));
    cuda::route_top_k(routing.weights.f32(),
                      routing.experts.i32(),
                      logits.f32(),
                      int_of(logits.dim(0)),
                      int_of(logits.dim(1)),
                      int_of(routing.experts.dim(1)),
                      renormalise == Renormalise::yes,
                      stream_.get());
  }
  void gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) override {
    cuda::gather_rows(out.data(),
                      x.data(),
                      element_of(x.dtype()),
                      rows.i32(),
                      int_of(rows.dim(0)),
                      int_of(x.dim(1)),
                      stream_.get());
  }
  void scatter_add_rows(const Tensor& x,
                        const Tensor& y,
                        const Tensor& rows,
                        const Tensor& scales) override {
    cuda::scatter_add_rows(x.f32(),
                           y.f32(),
                           rows.i32(),
                           scales.f32(),
                           int_of(rows.dim(0)),
                           int_of(x.dim(1)),
                           stream_.get());
  }

  // ---- fused operations: the bits of their definitions
  void linears(std::initializer_list<Tensor> outs,
               const Tensor& x,
               std::initializer_list<const Linear*> ws) override {
    products(outs, x, ws, Epilogue::store, nullptr);
  }
  void linear_add(const Tensor& x, const Tensor& y, const Linear& w) override {
    products({x}, y, {&w}, Epilogue::add, nullptr);
  }
  void qk_norm_rope(const Tensor& q, const Tensor& k, const QkNormRope& options) override {
    if (observer() != nullptr) return Backend::qk_norm_rope(q, k, options);
    cuda::qk_norm_rope(q.data(),
                       k.data(),
                       norm_rope_args(options),
                       int_of(q.dim(0)),
                       int_of(q.dim(1)),
                       int_of(k.dim(1)),
                       int_of(q.dim(2)),
                       stream_.get());
  }
  void experts_add(const Tensor& x,
                   const Tensor& h,
                   const ExpertWeights& experts,
                   const Routing& routing) override {
    if (!sums_experts(experts)) return Backend::experts_add(x, h, experts, routing);
    expert_products_.sum(x, true, h, experts, routing, stream_.get());
  }
  void experts_sum(const Tensor& out,
                   const Tensor& h,
                   const ExpertWeights& experts,
                   const Routing& routing) override {
    if (!sums_experts(experts)) return Backend::experts_sum(out, h, experts, routing);
    expert_products_.sum(out, false, h, experts, routing, stream_.get());
  }
  void norm_qkv(std::initializer_list<Tensor> qkv,
                const Tensor& h,
                const Tensor& x,
                const Norm& norm,
                std::initializer_list<const Linear*> ws) override {
    if (observer() != nullptr) return Backend::norm_qkv(qkv, h, x, norm, ws);
    normed_products(qkv, h, x, norm, ws, Epilogue::store);
  }
  void attend(const Tensor& mix,
              const Tensor& q,
              const Tensor& k,
              const Tensor& v,
              const KvLayer& kv,
              const BoundBatch& batch,
              const QkNormRope& norm_rope,
              const AttentionOptions& options) override {
    if (observer() != nullptr || inputs_.args().n_slices > 0) {
      return Backend::attend(mix, q, k, v, kv, batch, norm_rope, options);
    }
    AttentionArgs args = attention_args(mix, q, kv, batch, options);
    args.k = k.data();
    args.v = v.data();
    const QkNormRopeArgs fused = norm_rope_args(norm_rope);
    cuda::attention(args, &fused, stream_.get());
  }
  void norm_mlp(const Tensor& gate,
                const Tensor& up,
                const Tensor& h,
                const Tensor& x,
                const Norm& norm,
                const Linear& gate_proj,
                const Linear& up_proj) override {
    if (observer() != nullptr || !pair_in_tiles(gate_proj.weight, up_proj.weight)) {
      return Backend::norm_mlp(gate, up, h, x, norm, gate_proj, up_proj);
    }
    normed_products({gate, up}, h, x, norm, {&gate_proj, &up_proj}, Epilogue::silu_mul);
  }
  void norm_route(const Routing& routing,
                  const Tensor& logits,
                  const Tensor& h,
                  const Tensor& x,
                  const Norm& norm,
                  const Linear& router,
                  Renormalise renormalise) override {
    if (observer() != nullptr)
      return Backend::norm_route(routing, logits, h, x, norm, router, renormalise);
    normed_products({logits}, h, x, norm, {&router}, Epilogue::store);
    route_top_k(routing, logits, renormalise);
  }
  void head(const Tensor& logits,
            const Tensor& normed,
            const Tensor& x,
            const BoundBatch& batch,
            const Norm& norm,
            const Linear& lm_head) override {
    const int64_t n = batch.logit_rows.dim(0);
    if (observer() != nullptr || batch.hidden_rows.dim(0) > 0 || !lm_head.weight ||
        !in_tiles(lm_head.weight)) {
      return Backend::head(logits, normed, x, batch, norm, lm_head);
    }
    // Nobody asks for `normed` itself: the product norms its rows by the way.
    const Tensor rows = normed.rows(0, n);
    gather_rows(rows, x, batch.logit_rows);
    normed_products({logits}, {}, rows, norm, {&lm_head}, Epilogue::store);
  }

 private:
  using StepKey = std::tuple<int64_t, int64_t, int64_t, std::vector<const void*>>;

  static bool has_codes(WeightType type, int64_t n_in) {
    return coding_of(type) != Coding::none && n_in > 0 && n_in % kUnit == 0;
  }

  int64_t generation() const {
    return generation_ + inputs_.generation() + expert_products_.generation();
  }

  void copy(void* to, const void* from, int64_t bytes, cudaMemcpyKind kind) const {
    if (bytes == 0) return;
    check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, stream_.get()), "copying");
    stream_.wait("computing");
  }

  // Rows that a step of this kind is recorded with: one row a sequence and each of them wanted. Up to
  // eight cost the same time as one, so those are recorded as they are.
  int64_t rows_to_record(const Batch& batch) const {
    const int64_t n = batch.n_tokens();
    if (n == 0 || n != batch.n_seqs() || !batch.hidden_rows.empty() ||
        static_cast<int64_t>(batch.logit_rows.size()) != n) {
      return 0;
    }
    const int64_t step = n <= 8 ? 1 : n <= 64 ? 8 : n <= 128 ? 16 : 32;
    const int64_t rows = round_up(n, step);
    return rows <= most_rows_ ? rows : n <= most_rows_ ? n : 0;
  }

  // x as bfloat16 rows.
  Rows rounded(const Tensor& x) {
    if (x.dtype() == DType::bf16) return rows_of(x);
    void* const to = rounded_.at_least(x.numel() * 2, generation_);
    round_rows(to, x.f32(), x.numel(), stream_.get());
    return {to, Element::bf16, x.dim(1)};
  }

  void products(std::initializer_list<Tensor> outs,
                const Tensor& x,
                std::initializer_list<const Linear*> ws,
                Epilogue epilogue,
                const Norm* norm,
                const Tensor& h = {}) {
    if (x.dim(0) == 0) return;
    if (!all_in_tiles(ws)) {
      assert(norm == nullptr && epilogue != Epilogue::silu_mul);
      for (size_t i = 0; i < ws.size(); ++i) {
        const Linear& w = *ws.begin()[i];
        if (in_tiles(w.weight)) {
          products({outs.begin()[i]}, x, {&w}, epilogue, nullptr);
        } else {
          linear_rows(rows_of(outs.begin()[i]),
                      rows_of(x),
                      w.weight.data(),
                      element_of(dtype_of(w.weight.type())),
                      w.bias ? w.bias.f32() : nullptr,
                      int_of(x.dim(0)),
                      int_of(w.weight.n_out()),
                      int_of(w.weight.n_in()),
                      epilogue == Epilogue::add,
                      stream_.get());
        }
      }
      return;
    }
    LinearArgs args;
    args.n_parts = static_cast<int>(ws.size());
    args.n_rows = int_of(x.dim(0));
    args.n_in = int_of(ws.begin()[0]->weight.n_in());
    args.epilogue = epilogue;
    for (size_t i = 0; i < ws.size(); ++i) {
      const Linear& w = *ws.begin()[i];
      args.parts[i] = part_of(outs.begin()[i], w.weight, w.bias);
    }
    if (norm != nullptr) {
      args.x = rows_of(x);
      args.norm_weight = norm->weight.f32();
      args.norm_eps = norm->eps;
      if (h) args.h = rows_of(h);
    } else {
      args.x = rounded(x);
    }
    if (const LinearScratch scratch = scratch_of(args); scratch.waiting_bytes > 0) {
      args.waiting = waiting_.at_least<float>(scratch.waiting_bytes, generation_);
      args.arrivals = arrivals_.at_least<int32_t>(4 * scratch.n_arrivals, generation_);
    }
    cuda::linear(args, stream_.get());
  }

  // The norm by the way where it is cheap, which costs no bit. An empty h is not wanted.
  void normed_products(std::initializer_list<Tensor> outs,
                       const Tensor& h,
                       const Tensor& x,
                       const Norm& norm,
                       std::initializer_list<const Linear*> ws,
                       Epilogue epilogue) {
    if (all_in_tiles(ws) && norms_by_the_way(int_of(x.dim(0)), int_of(x.dim(1)))) {
      return products(outs, x, ws, epilogue, &norm, h);
    }
    const Tensor normed = h ? h
                            : Tensor(normed_.at_least(x.numel() * 2, generation_),
                                     DType::bf16,
                                     x.shape(),
                                     Place::device);
    rms_norm(normed, x, norm.weight, norm.eps);
    products(outs, normed, ws, epilogue, nullptr);
  }

  static KvArgs kv_args(const KvLayer& kv) {
    return {
        kv.k.data(), kv.v.data(), int_of(kv.k.dim(1)), int_of(kv.k.dim(2)), int_of(kv.k.dim(3))};
  }

  static QkNormRopeArgs norm_rope_args(const QkNormRope& o) {
    return {o.q_norm.f32(),
            o.k_norm.f32(),
            o.cos.f32(),
            o.sin.f32(),
            o.eps,
            o.order == QkNormRope::Order::rope_then_norm};
  }

  AttentionArgs attention_args(const Tensor& out,
                               const Tensor& q,
                               const KvLayer& kv,
                               const BoundBatch& batch,
                               const AttentionOptions& options) {
    AttentionArgs args{.out = out.data(),
                       .q = q.data(),
                       .n_heads = int_of(q.dim(1)),
                       .scale = options.scale,
                       .window = options.sliding_window,
                       .kv = kv_args(kv),
                       .batch = inputs_.args()};
    const int group = args.n_heads / args.kv.n_kv_heads;
    QWEN3_CHECK(
        group <= kMaxGroup,
        ErrorKind::unsupported,
        "num_attention_heads: the cuda backend has kernels for up to {} query heads of a kv head; "
        "got {}",
        kMaxGroup,
        group);
    assert(batch.token_ids.dim(0) == args.batch.n_tokens);
    const BatchArgs& b = args.batch;
    if (b.max_units > 1) {
      args.partials = partials_.at_least(
          partial_bytes(b.n_singles, b.max_units, args.n_heads, args.kv.head_dim), generation_);
      args.counters =
          counters_.at_least<int32_t>(int64_t{4} * b.n_singles * args.kv.n_kv_heads, generation_);
    }
    if (b.n_slices > 0) {
      const std::span<const int32_t> cu = batch.batch.cu_seqlens_q;
      for (size_t s = 0; s + 1 < cu.size(); ++s) {
        if (cu[s + 1] - cu[s] > 1) args.n_tiles += attention_tiles(cu[s + 1] - cu[s], group);
      }
    }
    return args;
  }

  void show_probs(const AttentionArgs& args, const Batch& batch) {
    for (size_t s = 0; s < batch.kv_lens.size(); ++s) {
      const int n_rows = batch.cu_seqlens_q[s + 1] - batch.cu_seqlens_q[s];
      const Shape shape = {args.n_heads, n_rows, batch.kv_lens[s]};
      const Storage storage = device_memory(shape.numel() * 4);
      const Tensor probs(storage.data(), DType::f32, shape, Place::device);
      attention_probs(
          probs.f32(), args, static_cast<int>(s), n_rows, batch.kv_lens[s], stream_.get());
      observe("probs", probs);
      stream_.wait("computing");
    }
  }

  bool sums_experts(const ExpertWeights& w) const {
    return observer() == nullptr && expert_products_.take(w);
  }

  const Device& device_;
  OwnStream stream_;
  mutable WeightLoader loader_;
  StepInputs inputs_;
  int64_t n_recorded_rows_ = 0;  // of the bound batch; 0: not recorded
  int64_t most_rows_ = std::numeric_limits<int64_t>::max();
  std::map<StepKey, Recording> recordings_;
  mutable int64_t generation_ = 0;
  mutable Buffer checksum_;
  Buffer waiting_, arrivals_, rounded_, normed_, partials_, counters_, scans_, columns_;
  ExpertProducts expert_products_;
};

}  // namespace
}  // namespace cuda

std::unique_ptr<Backend> make_cuda_backend() { return std::make_unique<cuda::CudaBackend>(); }

bool has_cuda_device() {
  try {
    cuda::device();
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace qwen3
