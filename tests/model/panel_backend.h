// A backend that can only pack and unpack weights, into panels of 16 rows by the formula in
// tensor.h: it shows that loading honours layouts, padding and the rules of pack_weight.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/backend.h"

namespace qwen3 {

class PanelBackend final : public Backend {
 public:
  BackendInfo info() const override { return {"panel", "test", 1}; }
  Layout weight_layout(DType) const override { return Layout::panel16; }

  void pack_weight(const Tensor& packed,
                   int64_t index,
                   const Tensor& rows,
                   int64_t row_begin) const override {
    const int64_t row_end = row_begin + rows.dim(0);
    EXPECT_EQ(row_begin % 16, 0);
    EXPECT_TRUE(row_end % 16 == 0 || row_end == packed.dim(packed.rank() - 2));
    EXPECT_EQ(packed.dtype(), rows.dtype());
    EXPECT_EQ(packed.layout(), Layout::panel16);
    const int64_t size = dtype_size(rows.dtype());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(rows.data()) % static_cast<uintptr_t>(size), 0u);
    for (int64_t row = 0; row < rows.dim(0); ++row) {
      for (int64_t col = 0; col < rows.dim(1); ++col) {
        std::memcpy(element(packed, index, row_begin + row, col),
                    static_cast<const std::byte*>(rows.data()) + (row * rows.dim(1) + col) * size,
                    static_cast<size_t>(size));
      }
    }
  }

  void unpack_rows(const Tensor& out,
                   const Tensor& packed,
                   int64_t index,
                   int64_t row_begin) const override {
    for (int64_t row = 0; row < out.dim(0); ++row) {
      for (int64_t col = 0; col < out.dim(1); ++col) {
        out.f32_row(row)[col] =
            load_f32(element(packed, index, row_begin + row, col), packed.dtype(), 0);
      }
    }
  }

  int64_t kv_bytes(DType, int64_t, int64_t, int64_t, int64_t) const override { return 0; }
  void reserve(int64_t, int64_t, int64_t) override {}
  void embed(const Tensor&, std::span<const int32_t>, const Tensor&) override {}
  void rms_norm(const Tensor&, const Tensor&, const Tensor&, float) override {}
  void linear(const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {}
  void rope_rotate_half(const Tensor&, const Tensor&, const Tensor&) override {}
  void kv_store(const KvLayer&, const Tensor&, const Tensor&, std::span<const int64_t>) override {}
  void attention(const Tensor&,
                 const Tensor&,
                 const KvLayer&,
                 const Batch&,
                 const AttentionOptions&) override {}
  void silu_mul(const Tensor&, const Tensor&, const Tensor&) override {}
  void add(const Tensor&, const Tensor&) override {}
  void route_top_k(const Routing&, const Tensor&, Renormalise) override {}
  void gather_rows(const Tensor&, const Tensor&, std::span<const int32_t>) override {}
  void scatter_add_rows(const Tensor&,
                        const Tensor&,
                        std::span<const int32_t>,
                        std::span<const float>) override {}

 private:
  static std::byte* element(const Tensor& packed, int64_t index, int64_t row, int64_t col) {
    const int64_t size = dtype_size(packed.dtype());
    const int64_t pairs = size == 2 ? 2 : 1;
    const int64_t in = packed.dim(packed.rank() - 1), out = packed.dim(packed.rank() - 2);
    const int64_t padded_in = (in + pairs - 1) / pairs * pairs;
    const int64_t matrix = (out + 15) / 16 * 16 * padded_in;
    const int64_t at = size == 2
                           ? ((row / 16) * padded_in / 2 + col / 2) * 32 + row % 16 * 2 + col % 2
                           : ((row / 16) * padded_in + col) * 16 + row % 16;
    return static_cast<std::byte*>(packed.data()) + (index * matrix + at) * size;
  }
};

}  // namespace qwen3
