// dot_tile: the one inner loop of this backend. C[rows, panels * 16] (+)= X[rows, n] · Wᵀ with W in
// panels of 16 outputs, accumulators in registers.
//
// It serves linear layers (panel = 16 output features; linear_kernel.h), attention scores (panel = 16
// keys) and the weighted sum of values (panel = 16 dimensions of the head, columns = keys): only the
// pointers differ. One output is one lane of one accumulator, and its products are added in ascending column
// order, so its bits do not depend on the tile it is computed in.
#pragma once

#include "kernels/cpu/isa/simd.h"

namespace qwen3::cpu {
namespace {

// How to multiply, per weight type. X is the type activations must have. Weights come in steps of
// 64 bytes (f32: one column of 16 outputs; 16-bit types: two columns).
struct F32Product {
  using X = float;
  using W = float;
  static constexpr int kColumns = 1;
  static QWEN3_INLINE void step(f32x16* acc, i32x16 w, const X* x) {
    *acc = fma(as_float(w), splat(x[0]), *acc);
  }
};

struct Bf16Product {
  using X = float;
  using W = uint16_t;
  static constexpr int kColumns = 2;
  static QWEN3_INLINE void step(f32x16* acc, i32x16 w, const X* x) {
    *acc = fma(bf16_even(w), splat(x[0]), *acc);
    *acc = fma(bf16_odd(w), splat(x[1]), *acc);
  }
  static QWEN3_INLINE void half_step(f32x16* acc, i32x16 w, const X* x) {
    *acc = fma(bf16_even(w), splat(x[0]), *acc);
  }
};

struct F16Product {
  using X = float;
  using W = uint16_t;
  static constexpr int kColumns = 2;
  static QWEN3_INLINE void step(f32x16* acc, i32x16 w, const X* x) {
    *acc = fma(f16_even(w), splat(x[0]), *acc);
    *acc = fma(f16_odd(w), splat(x[1]), *acc);
  }
  static QWEN3_INLINE void half_step(f32x16* acc, i32x16 w, const X* x) {
    *acc = fma(f16_even(w), splat(x[0]), *acc);
  }
};

#if defined(__AVX512BF16__)
// vdpbf16ps: two columns at once, products exact, twice the rate of an FMA. Activations are rounded
// to bfloat16 whatever the number of rows, so that prefill and decode see the same numbers.
struct Bf16DotProduct {
  using X = uint16_t;
  using W = uint16_t;
  static constexpr int kColumns = 2;
  static QWEN3_INLINE void step(f32x16* acc, i32x16 w, const X* x) {
    int32_t pair;
    __builtin_memcpy(&pair, x, 4);
    acc->r[0] = (Reg)_mm512_dpbf16_ps(
        (__m512)acc->r[0], (__m512bh)w.r[0], (__m512bh)_mm512_set1_epi32(pair));
  }
  // The odd column may hold anything, NaN too: it must not take part.
  static QWEN3_INLINE void half_step(f32x16* acc, i32x16 w, const X* x) {
    const int32_t single = x[0];
    acc->r[0] = (Reg)_mm512_dpbf16_ps((__m512)acc->r[0],
                                      (__m512bh)(w & splat_int(0xFFFF)).r[0],
                                      (__m512bh)_mm512_set1_epi32(single));
  }
};
#endif

// Register tiles: accumulators + the weights of a step + one broadcast fit the register file.
// AVX-512 has 32 registers of 16 lanes: 6 * 4 + 4 + 1. AVX2 has 16 of 8: 4 * 1 * 2 + 2 (+ 2 for the
// unpacked halves) + 1. NEON has 32 of 4: 4 * 4 + 4 + 4 + 1. SSE2 has 16 of 4: 2 * 4 + 4 + 1.
#if defined(__AVX512F__)
constexpr int kTileRows = 6;
constexpr int kTilePanels = 4;
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr int kTileRows = 4;
constexpr int kTilePanels = 1;
#else
constexpr int kTileRows = 2;
constexpr int kTilePanels = 1;
#endif

enum class Start { zero, from_c };
// Whether to ask for `next_panels`, laid out like w_panels, while computing: line for line, so that
// requests to memory and arithmetic overlap. A burst of prefetches instead fills the load queue and
// the arithmetic behind it waits. two_panels asks for next_panels[0] and [1] only: the tiles that
// share a group of panels also share the asking.
enum class Ahead { none, next_panels, two_panels };
constexpr int kAheadRows = 4;  // more rows leave no registers for the addresses of next_panels
constexpr int kAheadPanels = 2;

// acc[r][p] += Σ_col x[r][col] * w[p][col, lane] over n columns. n may be odd for 16-bit types: then the
// second column of the last step is ignored. next: as kAhead says, else not looked at.
template <typename P, int kRows, int kPanels, Ahead kAhead>
QWEN3_INLINE void dot_columns(f32x16 (&acc)[kRows][kPanels],
                              const typename P::X* const* x,
                              const typename P::W* const* w,
                              const typename P::W* const* next,
                              int64_t n) {
  constexpr int64_t kStep = 16 * P::kColumns;  // weights in a step
  constexpr int kNext = kAhead == Ahead::two_panels ? kAheadPanels : kPanels;
  for (int64_t step = 0; step < n / P::kColumns; ++step) {
    if constexpr (kAhead != Ahead::none) {
      for (int p = 0; p < kNext; ++p) __builtin_prefetch(next[p] + step * kStep, 0, 2);
    }
    i32x16 weights[kPanels];
    for (int p = 0; p < kPanels; ++p) weights[p] = load_int(w[p] + step * kStep);
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kPanels; ++p) {
        P::step(&acc[r][p], weights[p], x[r] + step * P::kColumns);
      }
    }
  }
  if constexpr (P::kColumns == 2) {
    if (n % 2 != 0) {
      for (int p = 0; p < kPanels; ++p) {
        const i32x16 weights = load_int(w[p] + n / 2 * kStep);
        for (int r = 0; r < kRows; ++r) P::half_step(&acc[r][p], weights, x[r] + n - 1);
      }
    }
  }
}

// c[r * c_stride + p * 16 + lane] = (start) + Σ_s Σ_col x[r][s * n + col] * w[s * kPanels + p][col,
// lane] over n_segments pieces of n columns each. x[r] must be readable up to n_segments * n.
template <typename P, int kRows, int kPanels, Ahead kAhead>
__attribute__((noinline)) void dot_tile(float* c,
                                        int64_t c_stride,
                                        Start start,
                                        const typename P::X* const* x_rows,
                                        const typename P::W* const* w_panels,
                                        int64_t n_segments,
                                        int64_t n,
                                        const typename P::W* const* next_panels) {
  f32x16 acc[kRows][kPanels];
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) {
      acc[r][p] = start == Start::zero ? zero() : load(c + r * c_stride + p * 16);
    }
  }
  const typename P::X* x[kRows];
  for (int r = 0; r < kRows; ++r) x[r] = x_rows[r];
  for (int64_t s = 0; s < n_segments; ++s) {
    const typename P::W* w[kPanels];
    for (int p = 0; p < kPanels; ++p) w[p] = w_panels[s * kPanels + p];
    const typename P::W* next[kPanels];
    if constexpr (kAhead != Ahead::none) {
      for (int p = 0; p < kPanels; ++p) next[p] = next_panels[s * kPanels + p];
    }
    dot_columns<P, kRows, kPanels, kAhead>(acc, x, w, next, n);
    for (int r = 0; r < kRows; ++r) x[r] += n;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) store(c + r * c_stride + p * 16, acc[r][p]);
  }
}

// dot_tile for a number of rows known at run time, 1 to kTileRows (to kAheadRows with next_panels).
template <typename P, int kPanels, Ahead kAhead = Ahead::none, int kRows = kTileRows>
QWEN3_INLINE void dot_rows(int64_t rows,
                           float* c,
                           int64_t c_stride,
                           Start start,
                           const typename P::X* const* x_rows,
                           const typename P::W* const* w_panels,
                           int64_t n_segments,
                           int64_t n,
                           const typename P::W* const* next_panels = nullptr) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      dot_rows<P, kPanels, kAhead, kRows - 1>(
          rows, c, c_stride, start, x_rows, w_panels, n_segments, n, next_panels);
      return;
    }
  }
  if constexpr (kAhead != Ahead::next_panels || kRows <= kAheadRows) {
    dot_tile<P, kRows, kPanels, kAhead>(
        c, c_stride, start, x_rows, w_panels, n_segments, n, next_panels);
  }
}

}  // namespace
}  // namespace qwen3::cpu
