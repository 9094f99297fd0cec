// A backend that can only pack and unpack weights, into panels of 16 rows: it shows that
// loading honours formats, padding and the rules of pack_weight.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/backend.h"

namespace qwen3 {

class PanelBackend final : public Backend {
 public:
  BackendInfo info() const override { return {"panel", "test", 1}; }
  static constexpr int32_t kLayout = 7;

  WeightFormat weight_format(WeightType type, int64_t n_out, int64_t n_in) const override {
    const int64_t pairs = type == WeightType::f32 ? 1 : 2;
    const int64_t row = row_bytes(type, (n_in + pairs - 1) / pairs * pairs);
    return {.layout = kLayout, .bytes = (n_out + 15) / 16 * 16 * row, .row_step = 16};
  }

  void pack_weight(const Weight& to,
                   int64_t index,
                   const WeightRows& rows,
                   int64_t row_begin) const override {
    const int64_t row_end = row_begin + rows.n_rows;
    EXPECT_EQ(row_begin % 16, 0);
    EXPECT_TRUE(row_end % 16 == 0 || row_end == to.n_out());
    EXPECT_EQ(to.type(), rows.type);
    EXPECT_EQ(to.format().layout, kLayout);
    const int64_t size = block_of(rows.type).bytes;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(rows.data) % static_cast<uintptr_t>(size), 0u);
    for (int64_t row = 0; row < rows.n_rows; ++row) {
      for (int64_t col = 0; col < rows.n_in; ++col) {
        std::memcpy(element(to, index, row_begin + row, col),
                    rows.data + (row * rows.n_in + col) * size,
                    static_cast<size_t>(size));
      }
    }
  }

  void unpack_rows(const Tensor& out,
                   const Weight& from,
                   int64_t index,
                   int64_t row_begin) const override {
    for (int64_t row = 0; row < out.dim(0); ++row) {
      for (int64_t col = 0; col < out.dim(1); ++col) {
        out.f32_row(row)[col] =
            load_f32(element(from, index, row_begin + row, col), dtype_of(from.type()), 0);
      }
    }
  }

  int64_t kv_bytes(DType, int64_t, int64_t, int64_t, int64_t) const override { return 0; }
  void reserve(const BatchLimits&) override {}
  void embed(const Tensor&, const Tensor&, const Weight&) override {}
  void fill(const Tensor&, float) override {}
  void rms_norm(const Tensor&, const Tensor&, const Tensor&, float) override {}
  void linear(const Tensor&, const Tensor&, const Linear&) override {}
  void rope_rotate_half(const Tensor&, const Tensor&, const Tensor&) override {}
  void kv_store(const KvLayer&, const Tensor&, const Tensor&, const BoundBatch&) override {}
  void attention(const Tensor&,
                 const Tensor&,
                 const KvLayer&,
                 const BoundBatch&,
                 const AttentionOptions&) override {}
  void silu_mul(const Tensor&, const Tensor&, const Tensor&) override {}
  void add(const Tensor&, const Tensor&) override {}
  void route_top_k(const Routing&, const Tensor&, Renormalise) override {}
  void gather_rows(const Tensor&, const Tensor&, const Tensor&) override {}
  void scatter_add_rows(const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {}

 private:
  static std::byte* element(const Weight& packed, int64_t index, int64_t row, int64_t col) {
    const int64_t size = block_of(packed.type()).bytes;
    const int64_t pairs = size == 2 ? 2 : 1;
    const int64_t padded_in = (packed.n_in() + pairs - 1) / pairs * pairs;
    const int64_t at = size == 2
                           ? ((row / 16) * padded_in / 2 + col / 2) * 32 + row % 16 * 2 + col % 2
                           : ((row / 16) * padded_in + col) * 16 + row % 16;
    return packed.matrix(index).data() + at * size;
  }
};

}  // namespace qwen3
