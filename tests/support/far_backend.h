// FarBackend: the reference backend behind memory that the host may not touch, as a device's is.
//
// What it allocates is one file mapped twice: the view that it hands out has no access rights, the
// other one is used inside operations. Whoever reads or writes a tensor, or a weight, between
// operations dies of SIGSEGV; an operation that is handed host memory fails its test. Batches of one
// row a sequence are padded as those of a recorded step are, and what lies in padding rows is
// overwritten before each operation may read it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/reference/reference_backend.h"
#include "support/far_memory.h"
#include "support/far_peers.h"

namespace qwen3::test {

// What a device's scan of a row says, with at most 512 numbers listed.
inline RowScan scan_row(std::span<const float> row, int64_t n_real, float* values, int32_t* ids) {
  const std::span<const float> real = row.first(static_cast<size_t>(n_real));
  RowScan scan;
  scan.finite = std::ranges::all_of(row, [](float v) { return std::isfinite(v); });
  std::vector<float> sorted(real.begin(), real.end());
  const int64_t k = std::min(Backend::kListed, n_real);
  std::ranges::nth_element(sorted, sorted.begin() + (k - 1), std::ranges::greater());
  scan.threshold = sorted[static_cast<size_t>(k - 1)];
  int64_t n = 0;
  for (int64_t i = 0; i < n_real; ++i) {
    if (real[static_cast<size_t>(i)] < scan.threshold) continue;
    values[n] = real[static_cast<size_t>(i)];
    ids[n++] = static_cast<int32_t>(i);
  }
  scan.listed = n <= 512;
  scan.values = {values, static_cast<size_t>(n)};
  scan.ids = {ids, static_cast<size_t>(n)};
  return scan;
}

class FarBackend final : public Backend {
 public:
  BackendInfo info() const override { return {"far", "test double", 1}; }

  Storage allocate(int64_t bytes) const override { return FarMemory::all().allocate(bytes); }
  void upload(const Tensor& to, const void* from) const override { inner_->upload(near(to), from); }
  Tensor to_host(const Tensor& from, HostBuffer& buffer) const override {
    const int64_t bytes = from.numel() * dtype_size(from.dtype());
    if (bytes == 0) return {nullptr, from.dtype(), from.shape()};
    if (buffer.bytes() < bytes) buffer = Storage(bytes);
    const Tensor rows = near(from);
    const int64_t row_bytes = bytes / rows.dim(0);
    for (int64_t r = 0; r < rows.dim(0); ++r) {
      std::memcpy(buffer.data() + r * row_bytes,
                  static_cast<const std::byte*>(rows.data()) +
                      r * rows.row_stride() * dtype_size(rows.dtype()),
                  static_cast<size_t>(row_bytes));
    }
    return {buffer.data(), from.dtype(), from.shape()};
  }

  bool scan(const Tensor& logits,
            int64_t n_real,
            HostBuffer& buffer,
            std::vector<RowScan>& scans) override {
    const Tensor rows = near(logits);
    const int64_t n_rows = rows.dim(0), room = n_real;
    buffer = Storage(std::max<int64_t>(n_rows * room * 8, 1));
    auto* values = reinterpret_cast<float*>(buffer.data());
    auto* ids = reinterpret_cast<int32_t*>(values + n_rows * room);
    scans.clear();
    for (int64_t r = 0; r < n_rows; ++r, values += room, ids += room) {
      const std::span<const float> row(rows.f32_row(r), static_cast<size_t>(rows.dim(1)));
      scans.push_back(scan_row(row, n_real, values, ids));
    }
    return true;
  }

  bool shares_memory() const override { return false; }
  uint64_t checksum(const Tensor& x) const override { return inner_->checksum(near(x)); }
  std::unique_ptr<PeerWindow> make_peer_window(int64_t bytes, int rank) override {
    return std::make_unique<FarPeerWindow>(bytes, rank);
  }

  void reserve(const BatchLimits& limits) override {
    limits_ = limits;
    inner_->reserve(limits);
  }

  BoundBatch bind(const Batch& batch, Watched watched) override {
    const int64_t n_padding = watched == Watched::yes ? 0 : padding(batch);
    inputs_.clear();
    inputs_.reserve(4);
    n_true_rows_ = batch.n_tokens();
    return {.batch = batch,
            .token_ids = place(batch.token_ids, n_padding),
            .positions = place(batch.positions, n_padding),
            .logit_rows = place(batch.logit_rows, n_padding),
            .hidden_rows = place(batch.hidden_rows, 0)};
  }

  void step(const BoundBatch& batch,
            std::initializer_list<const void*> places,
            const std::function<void()>& forward) override {
    n_rows_ = batch.n_tokens();
    inner_->step(batch, places, forward);
    n_rows_ = n_true_rows_ = 0;
  }

  WeightFormat weight_format(WeightType type, int64_t n_out, int64_t n_in) const override {
    return inner_->weight_format(type, n_out, n_in);
  }
  void pack_weight(const Weight& to,
                   int64_t index,
                   const WeightRows& rows,
                   int64_t row_begin) const override {
    inner_->pack_weight(near(to), index, rows, row_begin);
  }
  void unpack_rows(const Tensor& out,
                   const Weight& from,
                   int64_t index,
                   int64_t row_begin) const override {
    inner_->unpack_rows(out, near(from), index, row_begin);
  }
  int64_t kv_bytes(DType type,
                   int64_t n_blocks,
                   int64_t block_size,
                   int64_t n_kv_heads,
                   int64_t head_dim) const override {
    return inner_->kv_bytes(type, n_blocks, block_size, n_kv_heads, head_dim);
  }

  void embed(const Tensor& out, const Tensor& ids, const Weight& table) override {
    inner_->embed(near(out), near(ids), near(table));
    spoil(out);
  }
  void embed_own(const Tensor& out, const Tensor& ids, const Weight& own, int64_t first) override {
    inner_->embed_own(near(out), near(ids), own ? near(own) : own, first);
    spoil(out);
  }
  void fill(const Tensor& x, float value) override { inner_->fill(near(x), value); }
  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, float eps) override {
    inner_->rms_norm(near(out), near(x), near(w), eps);
    spoil(out);
  }
  void linear(const Tensor& out, const Tensor& x, const Linear& w) override {
    inner_->linear(near(out), near(x), {near(w.weight), near(w.bias), w.leaves});
    spoil(out);
  }
  void rope_rotate_half(const Tensor& x, const Tensor& cos, const Tensor& sin) override {
    inner_->rope_rotate_half(near(x), near(cos), near(sin));
  }
  void kv_store(const KvLayer& kv,
                const Tensor& k,
                const Tensor& v,
                const BoundBatch& batch) override {
    inner_->kv_store(near(kv), near(k), near(v), batch);
  }
  void attention(const Tensor& out,
                 const Tensor& q,
                 const KvLayer& kv,
                 const BoundBatch& batch,
                 const AttentionOptions& options) override {
    const Observer far_probs = [&](std::string_view name, const Tensor& value) {
      // As a device would have it.
      const Storage storage = allocate(value.numel() * dtype_size(value.dtype()));
      const Tensor copy(storage.data(), value.dtype(), value.shape(), storage.place());
      upload(copy, value.data());
      observe(name, copy);
    };
    inner_->set_observer(observer() != nullptr ? &far_probs : nullptr);
    inner_->attention(near(out), near(q), near(kv), batch, options);
    inner_->set_observer(nullptr);
    spoil(out);
  }
  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override {
    inner_->silu_mul(near(out), near(gate), near(up));
  }
  void add(const Tensor& x, const Tensor& y) override { inner_->add(near(x), near(y)); }
  void route_top_k(const Routing& routing, const Tensor& logits, Renormalise renormalise) override {
    inner_->route_top_k({near(routing.weights), near(routing.experts)}, near(logits), renormalise);
  }
  void gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) override {
    inner_->gather_rows(near(out), near(x), near(rows));
  }
  void scatter_add_rows(const Tensor& x,
                        const Tensor& y,
                        const Tensor& rows,
                        const Tensor& scales) override {
    inner_->scatter_add_rows(near(x), near(y), near(rows), near(scales));
  }

 private:
  static Tensor near(const Tensor& tensor) {
    if (!tensor || tensor.numel() == 0) return tensor;
    std::byte* data = FarMemory::all().near(tensor.data());
    EXPECT_NE(data, nullptr) << "an operation was handed memory of the host";
    EXPECT_EQ(tensor.place(), Place::device);
    if (tensor.row_stride() * tensor.dim(0) == tensor.numel()) {
      return {data, tensor.dtype(), tensor.shape()};
    }
    return Tensor(data, tensor.dtype(), {tensor.dim(0), tensor.row_stride()})
        .columns(0, tensor.dim(1));
  }
  static Weight near(const Weight& weight) {
    std::byte* data = FarMemory::all().near(weight.data());
    EXPECT_NE(data, nullptr) << "an operation was handed a weight of the host";
    return {data, weight.type(), weight.shape(), weight.format()};
  }
  static KvLayer near(const KvLayer& kv) { return {near(kv.k), near(kv.v)}; }

  // One row for each sequence, and each of them wanted: up to the next power of two, as far as the
  // limits go.
  int64_t padding(const Batch& batch) const {
    const int64_t n = batch.n_tokens();
    const bool alike = n == batch.n_seqs() && batch.hidden_rows.empty() &&
                       static_cast<int64_t>(batch.logit_rows.size()) == n;
    if (!alike || n == 0) return 0;
    int64_t bucket = 4;
    while (bucket < n) bucket *= 2;
    return std::min({bucket, limits_.n_tokens, limits_.n_logit_rows}) - n;
  }

  Tensor place(std::span<const int32_t> values, int64_t n_padding) {
    const auto n = static_cast<int64_t>(values.size()) + n_padding;
    const Storage& storage = inputs_.emplace_back(allocate(n * 4));
    const Tensor tensor(storage.data(), DType::i32, {n}, Place::device);
    if (n == 0) return tensor;
    std::vector<int32_t> padded(values.begin(), values.end());
    padded.resize(static_cast<size_t>(n), 0);
    upload(tensor, padded.data());
    return tensor;
  }

  // Padding rows hold something else after every operation that makes rows.
  void spoil(const Tensor& out) const {
    if (n_true_rows_ >= n_rows_ || out.dim(0) != n_rows_) return;
    const Tensor rows = near(out).rows(n_true_rows_, n_rows_ - n_true_rows_);
    const int64_t n_rows = rows.dim(0);
    for (int64_t r = 0; r < n_rows; ++r) std::fill_n(rows.f32_row(r), rows.numel() / n_rows, 0.5f);
  }

  std::unique_ptr<Backend> inner_ = make_reference_backend();
  BatchLimits limits_;
  std::vector<Storage> inputs_;  // of the step
  int64_t n_rows_ = 0, n_true_rows_ = 0;
};

}  // namespace qwen3::test
