// Linear layers over panels of e4m3 (block_layout.h): 8 bits in memory, widened in registers.
//
// Every e4m3 is a bfloat16 and, divided by 256, a binary16, so nothing is rounded: where there are dot
// products of bfloat16 it meets activations in bfloat16, elsewhere float32 ones. For each output, heads
// ascending, leaf by leaf:  y = fma(Σ e4m3·a, scale, y), the sum in ascending order of inputs from zero. Tiles of few
// rows widen the codes as they go; more rows share what was widened once into a buffer in L1. Both add
// up the same numbers in the same order: a row's bits do not depend on its neighbours.
#pragma once

#include "kernels/cpu/block_layout.h"
#include "kernels/cpu/isa/linear_kernel.h"
#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/kernel_table.h"

namespace qwen3::cpu {
namespace {

#if defined(__AVX512BF16__)
// Steps of two inputs of 16 outputs: pairs of bfloat16.
struct Fp8Product : Bf16DotProduct {
  using Wide = i32x16;
  static constexpr int64_t kWideBytes = 64;
  static QWEN3_INLINE Wide widen(const uint8_t* codes) {
    const __m512i u =
        _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
    // Exponents are 120 too small in a bfloat16's place.
    const __m512i magnitude = _mm512_slli_epi16(_mm512_and_si512(u, _mm512_set1_epi16(0x7F)), 4);
    const __m512i normal = _mm512_add_epi16(magnitude, _mm512_set1_epi16(120 << 7));
    // m / 512, which the dot product would take for zero as a denormal: m is the index.
    const __m128i few = _mm_set_epi16(0x3C60, 0x3C40, 0x3C20, 0x3C00, 0x3BC0, 0x3B80, 0x3B00, 0);
    const __mmask32 tiny = _mm512_testn_epi16_mask(u, _mm512_set1_epi16(0x78));
    const __m512i value =
        _mm512_mask_permutexvar_epi16(normal, tiny, u, _mm512_castsi128_si512(few));
    const __m512i sign = _mm512_and_si512(_mm512_slli_epi16(u, 8), _mm512_set1_epi16(-0x8000));
    return {{(RegInt)_mm512_or_si512(value, sign)}};
  }
  static QWEN3_INLINE Wide load_wide(const uint8_t* p) { return load_int(p); }
  static QWEN3_INLINE void store_wide(uint8_t* p, const Wide& w) { store_int(p, w); }
  static QWEN3_INLINE void multiply(f32x16* acc, const Wide& w, const X* x) { step(acc, w, x); }
  static QWEN3_INLINE f32x16 finished(f32x16 dot) { return dot; }
};
constexpr int kFp8Rows = 6, kFp8Panels = 2;
#else
// Steps of two inputs of 16 outputs: one register's worth of float32 of each, divided by 256.
struct Fp8Product : F32Product {
  struct Wide {
    f32x16 even, odd;
  };
  static constexpr int64_t kWideBytes = 128;
  static QWEN3_INLINE Wide widen(const uint8_t* codes) {
#if defined(__AVX2__)
    // In the upper byte of a binary16, moved down by a bit, sign and all, exponents are 8 too small.
    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
    const __m256i keep = _mm256_set1_epi16(static_cast<int16_t>(0xBF80));
    const __m256i even = _mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(both, 8), 1), keep);
    const __m256i odd = _mm256_and_si256(_mm256_srai_epi16(both, 1), keep);
#if defined(__AVX512F__)
    return {{{(Reg)_mm512_cvtph_ps(even) }}, { {(Reg)_mm512_cvtph_ps(odd) } }};
#else
    return {{{(Reg)_mm256_cvtph_ps(_mm256_castsi256_si128(even)),
              (Reg)_mm256_cvtph_ps(_mm256_extracti128_si256(even, 1)) }},
            {
              {(Reg)_mm256_cvtph_ps(_mm256_castsi256_si128(odd)),
               (Reg)_mm256_cvtph_ps(_mm256_extracti128_si256(odd, 1)) }
            }};
#endif
#elif defined(__aarch64__)
    Wide w;
    for (int half = 0; half < 2; ++half) {
      const int16x8_t both = vreinterpretq_s16_u8(vld1q_u8(codes + 16 * half));
      const int16x8_t keep = vdupq_n_s16(static_cast<int16_t>(0xBF80));
      const int16x8_t even = vandq_s16(vshrq_n_s16(vshlq_n_s16(both, 8), 1), keep);
      const int16x8_t odd = vandq_s16(vshrq_n_s16(both, 1), keep);
      w.even.r[2 * half] = (Reg)vcvt_f32_f16(vreinterpret_f16_s16(vget_low_s16(even)));
      w.even.r[2 * half + 1] = (Reg)vcvt_f32_f16(vreinterpret_f16_s16(vget_high_s16(even)));
      w.odd.r[2 * half] = (Reg)vcvt_f32_f16(vreinterpret_f16_s16(vget_low_s16(odd)));
      w.odd.r[2 * half + 1] = (Reg)vcvt_f32_f16(vreinterpret_f16_s16(vget_high_s16(odd)));
    }
    return w;
#else
    alignas(64) int32_t even[16], odd[16];
    for (int i = 0; i < 16; ++i) {
      even[i] = codes[2 * i] << 8;
      odd[i] = codes[2 * i + 1] << 8;
    }
    return {of_high_byte(load_int(even)), of_high_byte(load_int(odd))};
#endif
  }
  static QWEN3_INLINE Wide load_wide(const uint8_t* p) {
    const auto* floats = reinterpret_cast<const float*>(p);
    return {load(floats), load(floats + 16)};
  }
  static QWEN3_INLINE void store_wide(uint8_t* p, const Wide& w) {
    auto* floats = reinterpret_cast<float*>(p);
    store(floats, w.even);
    store(floats + 16, w.odd);
  }
  static QWEN3_INLINE void multiply(f32x16* acc, const Wide& w, const X* x) {
    *acc = fma(w.even, splat(x[0]), *acc);
    *acc = fma(w.odd, splat(x[1]), *acc);
  }
  static QWEN3_INLINE f32x16 finished(f32x16 dot) { return dot * splat(256.0f); }

 private:
  // The same without binary16: in a float's place exponents are 120 too small, and 8 of them stay.
  static QWEN3_INLINE f32x16 of_high_byte(i32x16 h) {
    const f32x16 magnitude = as_float(shift_left(h & splat_int(0x7F00), 12)) * splat(0x1p112f);
    return as_float(as_int(magnitude) | shift_left(h & splat_int(0x8000), 16));
  }
};
#if defined(__AVX512F__)
constexpr int kFp8Rows = 6, kFp8Panels = 2;
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr int kFp8Rows = 4, kFp8Panels = 1;
#else
constexpr int kFp8Rows = 2, kFp8Panels = 1;
#endif
#endif

// c[row][panel][16] += scale * (x · codes of one head), the scales of panel p at scales[p]. From the
// codes, or from what they were widened to.
template <int kInputs, bool kWidened, int kRows, int kPanels>
QWEN3_INLINE void fp8_head(f32x16 (*c)[kPanels],
                           const Fp8Product::X* const* x,
                           const uint8_t* const* weights,
                           const uint8_t* const* scales) {
  constexpr int64_t kStepBytes = kWidened ? Fp8Product::kWideBytes : 32;
  f32x16 dot[kRows][kPanels];
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) dot[r][p] = zero();
  }
  for (int64_t step = 0; step < kInputs / 2; ++step) {
    Fp8Product::Wide w[kPanels];
    for (int p = 0; p < kPanels; ++p) {
      const uint8_t* const at = weights[p] + step * kStepBytes;
      if constexpr (kWidened) {
        w[p] = Fp8Product::load_wide(at);
      } else {
        w[p] = Fp8Product::widen(at);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kPanels; ++p) Fp8Product::multiply(&dot[r][p], w[p], x[r] + 2 * step);
    }
  }
  for (int p = 0; p < kPanels; ++p) {
    const f32x16 scale = load(reinterpret_cast<const float*>(scales[p]));
    for (int r = 0; r < kRows; ++r) {
      c[r][p] = fma(Fp8Product::finished(dot[r][p]), scale, c[r][p]);
    }
  }
}

// A tile of few rows: all heads, straight from the codes. As product_tile.
template <Blocks kBlocks, int kRows, int kPanels>
__attribute__((noinline)) void fp8_stream(float* c,
                                          const Fp8Product::X* const* x_rows,
                                          const uint8_t* const* panels,
                                          int64_t n_in,
                                          const LeafList& leaves) {
  constexpr int kInputs = layout_of(kBlocks).head_inputs;
  const Fp8Product::X* x[kRows];
  const uint8_t* codes[kPanels];
  const uint8_t* scales[kPanels];
  for (int p = 0; p < kPanels; ++p) {
    scales[p] = panels[p];
    codes[p] = panels[p] + head_region(layout_of(kBlocks), n_in);
  }
  for (int r = 0; r < kRows; ++r) x[r] = x_rows[r];
  for (int64_t i = 0; i < leaves.n; ++i) {
    const Leaf& leaf = leaves.leaves[i];
    f32x16 acc[kRows][kPanels];
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kPanels; ++p) acc[r][p] = zero();
    }
    for (int64_t head = leaf.begin / kInputs; head < leaf.end / kInputs; ++head) {
      fp8_head<kInputs, false, kRows, kPanels>(acc, x, codes, scales);
      for (int r = 0; r < kRows; ++r) x[r] += kInputs;
      for (int p = 0; p < kPanels; ++p) codes[p] += kInputs * kPanel, scales[p] += 4 * kPanel;
    }
    c = merge_and_store(acc, c, leaf.n_merges);
  }
}

// One head of a tile whose codes are widened: adds to c.
template <int kInputs, int kRows, int kPanels>
__attribute__((noinline)) void fp8_widened(float* c,
                                           const Fp8Product::X* const* x,
                                           const uint8_t* const* wide,
                                           const uint8_t* const* scales) {
  f32x16 acc[kRows][kPanels];
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) acc[r][p] = load(c + (r * kPanels + p) * kPanel);
  }
  fp8_head<kInputs, true, kRows, kPanels>(acc, x, wide, scales);
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) store(c + (r * kPanels + p) * kPanel, acc[r][p]);
  }
}

// The rows of a chunk: what they share of widened codes must be worth its buffer in L1.
constexpr int64_t kFp8Chunk = 128;

template <Blocks kBlocks, int kPanels, int kMostRows>
struct Fp8Panels {
  using X = Fp8Product::X;
  static constexpr int kInputs = layout_of(kBlocks).head_inputs;

  template <int kRows = kMostRows>
  static QWEN3_INLINE void stream(int64_t rows,
                                  float* c,
                                  const X* const* x,
                                  const uint8_t* const* panels,
                                  int64_t n_in,
                                  const LeafList& leaves) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return stream<kRows - 1>(rows, c, x, panels, n_in, leaves);
    }
    fp8_stream<kBlocks, kRows, kPanels>(c, x, panels, n_in, leaves);
  }
  template <int kRows = kMostRows>
  static QWEN3_INLINE void widened(int64_t rows,
                                   float* c,
                                   const X* const* x,
                                   const uint8_t* const* wide,
                                   const uint8_t* const* scales) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return widened<kRows - 1>(rows, c, x, wide, scales);
    }
    fp8_widened<kInputs, kRows, kPanels>(c, x, wide, scales);
  }

  static constexpr int64_t kRow = kPanels * kPanel;
  static constexpr int64_t kSum = kFp8Chunk * kRow;

  // c [rows, kRow] = the products of all rows of a chunk, in the first of kMaxSums times kSum floats
  // (in the only ones, without leaves).
  static void chunk(float* c,
                    const X* const* x,
                    int64_t rows,
                    const uint8_t* const* panels,
                    int64_t n_in,
                    const LeafList& leaves) {
    if (rows <= kMostRows) return stream(rows, c, x, panels, n_in, leaves);
    float* sum = c;
    for (int64_t i = 0; i < leaves.n; ++i) {
      const Leaf& leaf = leaves.leaves[i];
      for (int64_t j = 0; j < rows * kRow; ++j) sum[j] = 0;
      for (int64_t head = leaf.begin / kInputs; head < leaf.end / kInputs; ++head) {
        add_head(sum, x, rows, panels, n_in, head);
      }
      for (int64_t merge = 0; merge < leaf.n_merges; ++merge) {
        sum -= kSum;
        for (int64_t j = 0; j < rows * kRow; ++j) sum[j] = sum[j] + sum[kSum + j];
      }
      sum += kSum;
    }
  }

  // c += the products of one head, whose codes are widened once for all rows.
  static void add_head(float* c,
                       const X* const* x,
                       int64_t rows,
                       const uint8_t* const* panels,
                       int64_t n_in,
                       int64_t head) {
    alignas(64) uint8_t buffer[kPanels][kInputs / 2 * Fp8Product::kWideBytes];
    const uint8_t *wide[kPanels], *scales[kPanels];
    for (int p = 0; p < kPanels; ++p) {
      const uint8_t* const codes =
          panels[p] + head_region(layout_of(kBlocks), n_in) + head * kInputs * kPanel;
      for (int64_t step = 0; step < kInputs / 2; ++step) {
        Fp8Product::store_wide(buffer[p] + step * Fp8Product::kWideBytes,
                               Fp8Product::widen(codes + 32 * step));
      }
      wide[p] = buffer[p];
      scales[p] = panels[p] + head * 4 * kPanel;
    }
    const int64_t n_tiles = (rows + kMostRows - 1) / kMostRows;
    for (int64_t tile = 0; tile < n_tiles; ++tile) {
      const int64_t first = rows * tile / n_tiles, count = rows * (tile + 1) / n_tiles - first;
      const X* at[kMostRows];
      for (int64_t r = 0; r < count; ++r) at[r] = x[first + r] + head * kInputs;
      widened(count, c + first * kRow, at, wide, scales);
    }
  }

  // All rows times kPanels panels.
  static void run(const LinearArgs& args, int64_t row_begin, int64_t row_end, int64_t panel) {
    const int64_t panel_bytes = block_panel_bytes(layout_of(kBlocks), args.n_in);
    const void* weights[2] = {args.w, args.w_up};
    const int n_matrices = args.w_up != nullptr ? 2 : 1;
    const LeafList leaves(args);
    for (int64_t first = row_begin; first < row_end; first += kFp8Chunk) {
      const int64_t count = row_end - first < kFp8Chunk ? row_end - first : kFp8Chunk;
      const X* x[kFp8Chunk];
      for (int64_t r = 0; r < count; ++r) {
        const int64_t row = args.x_rows != nullptr ? args.x_rows[first + r] : first + r;
        x[r] = static_cast<const X*>(args.x) + row * args.x_stride;
      }
      // The second product, of those without leaves, lies where no sum of the first does.
      alignas(64) float c[kMaxSums][kSum];
      for (int m = 0; m < n_matrices; ++m) {
        const uint8_t* panels[kPanels];
        for (int p = 0; p < kPanels; ++p) {
          panels[p] = static_cast<const uint8_t*>(weights[m]) + (panel + p) * panel_bytes;
        }
        chunk(c[m], x, count, panels, args.n_in, leaves);
      }
      write_tile<Fp8Product, kPanels>(
          args, first, count, panel, c[0], n_matrices == 2 ? c[1] : nullptr);
    }
  }
};

// All whole groups of kPanels panels from `panel` on; returns the first panel left over.
template <Blocks kBlocks, int kPanels, int kMostRows>
QWEN3_INLINE int64_t fp8_groups(
    const LinearArgs& args, int64_t row_begin, int64_t row_end, int64_t panel, int64_t panel_end) {
  for (; panel + kPanels <= panel_end; panel += kPanels) {
    Fp8Panels<kBlocks, kPanels, kMostRows>::run(args, row_begin, row_end, panel);
  }
  return panel;
}

// One or two rows take two panels abreast on every instruction set: a sum waits for the one before.
template <Blocks kBlocks>
void fp8_linear(const LinearArgs& args,
                int64_t row_begin,
                int64_t row_end,
                int64_t panel_begin,
                int64_t panel_end) {
  const int64_t rest =
      row_end - row_begin <= kStreamRows
          ? fp8_groups<kBlocks, 2, kStreamRows>(args, row_begin, row_end, panel_begin, panel_end)
          : fp8_groups<kBlocks, kFp8Panels, kFp8Rows>(
                args, row_begin, row_end, panel_begin, panel_end);
  fp8_groups<kBlocks, 1, kFp8Rows>(args, row_begin, row_end, rest, panel_end);
}

}  // namespace
}  // namespace qwen3::cpu
