#include "kernels/reference/reference_backend.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

namespace qwen3 {
namespace {

// Σ a[i]·b[i] in eight running sums: the compiler can vectorise them, and eight short sums round
// less than a long one.
float dot(const float* a, const float* b, int64_t n) {
  std::array<float, 8> sums{};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

// The same with a sum for each leaf, added up as their tree.
float tree_dot(const float* a, const float* b, const LeafSteps& leaves) {
  std::array<float, LeafSteps::kMaxSums> sums{};
  size_t n_sums = 0;
  for (const LeafSteps::Step& leaf : leaves.steps()) {
    sums[n_sums++] = dot(a + leaf.begin, b + leaf.begin, leaf.end - leaf.begin);
    for (int i = 0; i < leaf.n_merges; ++i) {
      --n_sums;
      sums[n_sums - 1] += sums[n_sums];
    }
  }
  return sums[0];
}

// Rows as the file has them.
WeightFormat dense_format(WeightType type, int64_t n_out, int64_t n_in) {
  return {.bytes = n_out * row_bytes(type, n_in)};
}

class ReferenceBackend final : public Backend {
 public:
  BackendInfo info() const override { return {"reference", "float32 loops", 1}; }

  WeightFormat weight_format(WeightType type, int64_t n_out, int64_t n_in) const override {
    return dense_format(type, n_out, n_in);
  }

  void pack_weight(const Weight& to,
                   int64_t index,
                   const WeightRows& rows,
                   int64_t row_begin) const override {
    const int64_t bytes = row_bytes(rows.type, rows.n_in);
    std::memcpy(to.matrix(index).data() + row_begin * bytes,
                rows.data,
                static_cast<size_t>(rows.n_rows * bytes));
  }

  void unpack_rows(const Tensor& out,
                   const Weight& from,
                   int64_t index,
                   int64_t row_begin) const override {
    const Weight matrix = from.matrix(index);
    for (int64_t r = 0; r < out.dim(0); ++r) load_row(out.f32_row(r), matrix, row_begin + r);
  }

  int64_t kv_bytes(DType type,
                   int64_t n_blocks,
                   int64_t block_size,
                   int64_t n_kv_heads,
                   int64_t head_dim) const override {
    return n_blocks * block_size * n_kv_heads * head_dim * dtype_size(type);
  }

  void reserve(const BatchLimits&) override {}

  void embed(const Tensor& out, const Tensor& ids, const Weight& table) override {
    for (int64_t i = 0; i < ids.dim(0); ++i) load_row(out.f32_row(i), table, ids.i32()[i]);
  }

  void fill(const Tensor& x, float value) override { std::fill_n(x.f32(), x.numel(), value); }

  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, float eps) override {
    const int64_t size = w.dim(0);
    for (int64_t r = 0; r < x.numel() / size; ++r) {
      const float* in = x.f32() + r * size;
      float* to = out.f32() + r * size;
      const float scale = 1.0f / std::sqrt(dot(in, in, size) / static_cast<float>(size) + eps);
      for (int64_t i = 0; i < size; ++i) to[i] = w.f32()[i] * (in[i] * scale);
    }
  }

  void linear(const Tensor& out, const Tensor& x, const Linear& w) override {
    const int64_t n_in = w.weight.n_in();
    const LeafSteps leaves = leaf_steps(w.leaves, n_in);
    std::vector<float> row(static_cast<size_t>(n_in));
    for (int64_t o = 0; o < w.weight.n_out(); ++o) {
      load_row(row.data(), w.weight, o);
      for (int64_t t = 0; t < x.dim(0); ++t) {
        const float sum = tree_dot(x.f32_row(t), row.data(), leaves);
        out.f32_row(t)[o] = w.bias ? sum + w.bias.f32()[o] : sum;
      }
    }
  }

  void rope_rotate_half(const Tensor& x, const Tensor& cos, const Tensor& sin) override {
    const int64_t n_heads = x.dim(1), half = x.dim(2) / 2;
    for (int64_t t = 0; t < x.dim(0); ++t) {
      for (int64_t head = 0; head < n_heads; ++head) {
        float* v = x.f32_row(t) + head * 2 * half;
        for (int64_t i = 0; i < half; ++i) {
          const float c = cos.f32_row(t)[i], s = sin.f32_row(t)[i];
          const float a = v[i], b = v[i + half];
          v[i] = a * c - b * s;
          v[i + half] = b * c + a * s;
        }
      }
    }
  }

  void kv_store(const KvLayer& kv,
                const Tensor& k,
                const Tensor& v,
                const BoundBatch& batch) override {
    const std::span<const int64_t> slot_mapping = batch.batch.slot_mapping;
    const int64_t size = k.dim(1) * k.dim(2);  // n_kv_heads * head_dim
    for (size_t t = 0; t < slot_mapping.size(); ++t) {
      store_row(kv.k, slot_mapping[t] * size, k.f32_row(static_cast<int64_t>(t)), size);
      store_row(kv.v, slot_mapping[t] * size, v.f32_row(static_cast<int64_t>(t)), size);
    }
  }

  void attention(const Tensor& out,
                 const Tensor& q,
                 const KvLayer& kv,
                 const BoundBatch& bound,
                 const AttentionOptions& options) override {
    const Batch& batch = bound.batch;
    for (int64_t s = 0; s < batch.n_seqs(); ++s) attend_sequence(out, q, kv, batch, options, s);
  }

  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override {
    for (int64_t i = 0; i < out.numel(); ++i) {
      const float g = gate.f32()[i];
      out.f32()[i] = g / (1.0f + std::exp(-g)) * up.f32()[i];
    }
  }

  void add(const Tensor& x, const Tensor& y) override {
    for (int64_t i = 0; i < x.numel(); ++i) x.f32()[i] += y.f32()[i];
  }

  void route_top_k(const Routing& routing, const Tensor& logits, Renormalise renormalise) override {
    const int64_t n_experts = logits.dim(1), top_k = routing.experts.dim(1);
    std::vector<float> p(static_cast<size_t>(n_experts));
    std::vector<int32_t> order(p.size());
    for (int64_t t = 0; t < logits.dim(0); ++t) {
      std::copy_n(logits.f32_row(t), n_experts, p.begin());
      softmax(p);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return p[static_cast<size_t>(a)] > p[static_cast<size_t>(b)];
      });
      float total = 0;
      for (int64_t i = 0; i < top_k; ++i)
        total += p[static_cast<size_t>(order[static_cast<size_t>(i)])];
      for (int64_t i = 0; i < top_k; ++i) {
        const int32_t expert = order[static_cast<size_t>(i)];
        const float weight = p[static_cast<size_t>(expert)];
        routing.experts.i32()[t * top_k + i] = expert;
        routing.weights.f32()[t * top_k + i] =
            renormalise == Renormalise::yes ? weight / total : weight;
      }
    }
  }

  void gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) override {
    for (int64_t i = 0; i < rows.dim(0); ++i) {
      std::copy_n(x.f32_row(rows.i32()[i]), x.dim(1), out.f32_row(i));
    }
  }

  void scatter_add_rows(const Tensor& x,
                        const Tensor& y,
                        const Tensor& rows,
                        const Tensor& scales) override {
    for (int64_t i = 0; i < rows.dim(0); ++i) {
      const float* from = y.f32_row(i);
      float* to = x.f32_row(rows.i32()[i]);
      for (int64_t j = 0; j < x.dim(1); ++j) to[j] += from[j] * scales.f32()[i];
    }
  }

 private:
  static void load_row(float* to, const Weight& matrix, int64_t row) {
    const int64_t n = matrix.n_in();
    for (int64_t i = 0; i < n; ++i) {
      to[i] = load_f32(matrix.data(), dtype_of(matrix.type()), row * n + i);
    }
  }

  static void store_row(const Tensor& cache, int64_t offset, const float* from, int64_t size) {
    if (cache.dtype() == DType::f32) {
      std::copy_n(from, size, cache.f32() + offset);
    } else {
      std::transform(from, from + size, cache.u16() + offset, f32_to_bf16);
    }
  }

  static void softmax(std::span<float> values) {
    const float top = *std::max_element(values.begin(), values.end());
    float total = 0;
    for (float& value : values) total += value = std::exp(value - top);
    for (float& value : values) value /= total;
  }

  // One sequence: for every query row and head, scores over the visible keys, softmax, mix.
  void attend_sequence(const Tensor& out,
                       const Tensor& q,
                       const KvLayer& kv,
                       const Batch& batch,
                       const AttentionOptions& options,
                       int64_t s) {
    const auto seq = static_cast<size_t>(s);
    const int64_t n_heads = q.dim(1), head_dim = q.dim(2);
    const int64_t block_size = kv.k.dim(1), n_kv_heads = kv.k.dim(2);
    const int64_t first_row = batch.cu_seqlens_q[seq];
    const int64_t n_rows = batch.cu_seqlens_q[seq + 1] - first_row;
    const int64_t kv_len = batch.kv_lens[seq];
    const int32_t* blocks = batch.block_tables.data() + s * batch.max_blocks_per_seq;
    const auto key_offset = [&](int64_t j, int64_t kv_head) {
      const int64_t slot = blocks[j / block_size] * block_size + j % block_size;
      return (slot * n_kv_heads + kv_head) * head_dim;
    };
    std::vector<float> probs_map;  // [n_heads, n_rows, kv_len], only while someone watches
    if (observer() != nullptr) probs_map.resize(static_cast<size_t>(n_heads * n_rows * kv_len));

    std::vector<float> key(static_cast<size_t>(head_dim));
    for (int64_t r = 0; r < n_rows; ++r) {
      const int64_t position = kv_len - n_rows + r;
      const int64_t first_key = options.sliding_window > 0
                                    ? std::max<int64_t>(0, position - options.sliding_window + 1)
                                    : 0;
      std::vector<float> scores(static_cast<size_t>(position + 1 - first_key));
      for (int64_t head = 0; head < n_heads; ++head) {
        const int64_t kv_head = head / (n_heads / n_kv_heads);  // grouped queries
        const float* query = q.f32_row(first_row + r) + head * head_dim;
        for (int64_t j = first_key; j <= position; ++j) {
          load_key(key, kv.k, key_offset(j, kv_head));
          scores[static_cast<size_t>(j - first_key)] =
              dot(query, key.data(), head_dim) * options.scale;
        }
        softmax(scores);
        float* mix = out.f32_row(first_row + r) + head * head_dim;
        std::fill_n(mix, head_dim, 0.0f);
        for (int64_t j = first_key; j <= position; ++j) {
          load_key(key, kv.v, key_offset(j, kv_head));
          const float p = scores[static_cast<size_t>(j - first_key)];
          for (int64_t i = 0; i < head_dim; ++i) mix[i] += p * key[static_cast<size_t>(i)];
          if (!probs_map.empty()) {
            probs_map[static_cast<size_t>((head * n_rows + r) * kv_len + j)] = p;
          }
        }
      }
    }
    if (!probs_map.empty()) {
      observe("probs", Tensor::view(probs_map, {n_heads, n_rows, kv_len}));
    }
  }

  static void load_key(std::span<float> to, const Tensor& cache, int64_t offset) {
    for (size_t i = 0; i < to.size(); ++i) {
      to[i] = load_f32(cache.data(), cache.dtype(), offset + static_cast<int64_t>(i));
    }
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

Weight reference_weight(std::span<float> rows, Shape shape) {
  assert(static_cast<int64_t>(rows.size()) >= shape.numel());
  const int rank = shape.rank();
  return {reinterpret_cast<std::byte*>(rows.data()),
          WeightType::f32,
          shape,
          dense_format(WeightType::f32, shape[rank - 2], shape[rank - 1])};
}

}  // namespace qwen3
