// ForwardingBackend: another backend's primitive operations, to override some of them. Fused
// operations are their definitions (backend.h), made of the ones here.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "kernels/backend.h"

namespace qwen3 {

class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(std::unique_ptr<Backend> inner)
      : owned_(std::move(inner)), inner_(owned_.get()) {}
  explicit ForwardingBackend(Backend& borrowed) : inner_(&borrowed) {}

  BackendInfo info() const override { return inner_->info(); }
  Storage allocate(int64_t bytes) const override { return inner_->allocate(bytes); }
  int64_t available_bytes() const override { return inner_->available_bytes(); }
  bool shares_memory() const override { return inner_->shares_memory(); }
  DType activation_dtype() const override { return inner_->activation_dtype(); }
  DType widest_kv_dtype() const override { return inner_->widest_kv_dtype(); }
  double measure_read_bandwidth() override { return inner_->measure_read_bandwidth(); }
  bool scan(const Tensor& logits,
            int64_t n_real,
            HostBuffer& buffer,
            std::vector<RowScan>& scans) override {
    return inner_->scan(logits, n_real, buffer, scans);
  }
  void upload(const Tensor& to, const void* from) const override { inner_->upload(to, from); }
  Tensor to_host(const Tensor& from, HostBuffer& buffer) const override {
    return inner_->to_host(from, buffer);
  }
  void synchronize() override { inner_->synchronize(); }
  uint64_t checksum(const Tensor& x) const override { return inner_->checksum(x); }
  std::unique_ptr<PeerWindow> make_peer_window(int64_t bytes, int rank) override {
    return inner_->make_peer_window(bytes, rank);
  }
  void reserve(const BatchLimits& limits) override { inner_->reserve(limits); }
  // Every operation stands by itself: none is padded or replayed.
  BoundBatch bind(const Batch& batch, Watched) override {
    return inner_->bind(batch, Watched::yes);
  }

  WeightType kept_type(WeightType stored, int64_t n_in) const override {
    return inner_->kept_type(stored, n_in);
  }
  InputRounding input_rounding(WeightType kept) const override {
    return inner_->input_rounding(kept);
  }
  WeightFormat weight_format(WeightType type, int64_t n_out, int64_t n_in) const override {
    return inner_->weight_format(type, n_out, n_in);
  }
  std::optional<int32_t> sum_pieces(WeightType type, const WholeMatrix& whole) const override {
    return inner_->sum_pieces(type, whole);
  }
  void pack_weight(const Weight& to,
                   int64_t index,
                   const WeightRows& rows,
                   int64_t row_begin) const override {
    inner_->pack_weight(to, index, rows, row_begin);
  }
  void unpack_rows(const Tensor& out,
                   const Weight& from,
                   int64_t index,
                   int64_t row_begin) const override {
    inner_->unpack_rows(out, from, index, row_begin);
  }
  int64_t kv_bytes(DType type,
                   int64_t n_blocks,
                   int64_t block_size,
                   int64_t n_kv_heads,
                   int64_t head_dim) const override {
    return inner_->kv_bytes(type, n_blocks, block_size, n_kv_heads, head_dim);
  }

  void embed(const Tensor& out, const Tensor& ids, const Weight& table) override {
    inner_->embed(out, ids, table);
  }
  void fill(const Tensor& x, float value) override { inner_->fill(x, value); }
  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, float eps) override {
    inner_->rms_norm(out, x, w, eps);
  }
  void linear(const Tensor& out, const Tensor& x, const Linear& w) override {
    inner_->linear(out, x, w);
  }
  void rope_rotate_half(const Tensor& x, const Tensor& cos, const Tensor& sin) override {
    inner_->rope_rotate_half(x, cos, sin);
  }
  void kv_store(const KvLayer& kv,
                const Tensor& k,
                const Tensor& v,
                const BoundBatch& batch) override {
    inner_->kv_store(kv, k, v, batch);
  }
  void attention(const Tensor& out,
                 const Tensor& q,
                 const KvLayer& kv,
                 const BoundBatch& batch,
                 const AttentionOptions& options) override {
    inner_->attention(out, q, kv, batch, options);
  }
  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override {
    inner_->silu_mul(out, gate, up);
  }
  void add(const Tensor& x, const Tensor& y) override { inner_->add(x, y); }
  void route_top_k(const Routing& routing, const Tensor& logits, Renormalise renormalise) override {
    inner_->route_top_k(routing, logits, renormalise);
  }
  void gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) override {
    inner_->gather_rows(out, x, rows);
  }
  void scatter_add_rows(const Tensor& x,
                        const Tensor& y,
                        const Tensor& rows,
                        const Tensor& scales) override {
    inner_->scatter_add_rows(x, y, rows, scales);
  }

 protected:
  Backend& inner() const { return *inner_; }

 private:
  std::unique_ptr<Backend> owned_;  // null: borrowed
  Backend* const inner_;
};

}  // namespace qwen3
