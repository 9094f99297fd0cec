// Linear layers over panels: walks the tiles of a product, and finishes each tile while it is in
// L1.
//
// Panels are the outer loop: a group of panels (4 x n_in x 32 bytes, 128 KiB at n_in 1,024) stays
// in L2 while the rows pass by. Blocking over n_in as well did not pay: from L2 the group streams
// at 11 bytes a cycle, a third of what L2 can give. AMD EPYC (Zen 4), 2 cores, 2026-11-24.
#pragma once

#include "kernels/cpu/isa/dot_tile.h"
#include "kernels/cpu/kernel_table.h"

namespace qwen3::cpu {
namespace {

QWEN3_INLINE f32x16 silu(f32x16 x) { return x / (splat(1.0f) + exp(zero() - x)); }

// Outputs [first_out, first_out + 16) of one row, or as many as there are, to where they belong.
// `up` is only looked at by silu_mul.
template <typename P>
QWEN3_INLINE void write_panel(
    const LinearArgs& args, int64_t row, int64_t first_out, f32x16 y, f32x16 up) {
  const int64_t n = args.n_out - first_out < kPanel ? args.n_out - first_out : kPanel;
  if (args.write == Write::silu_mul) {
    using X = typename P::X;
    X* out = static_cast<X*>(args.out) + row * args.out_stride + first_out;
    const f32x16 product = silu(y) * up;
    if constexpr (sizeof(X) == 2) {
      store_bf16(out, product);  // padding outputs are zero; rows have room for whole panels
    } else {
      store_first(out, product, n);
    }
    return;
  }
  const int64_t out_row = args.out_rows != nullptr ? args.out_rows[row] : row;
  float* out = static_cast<float*>(args.out) + out_row * args.out_stride + first_out;
  if (args.write == Write::add) {
    y = load_first(out, n) + y;
  } else if (args.write == Write::add_scaled) {
    y = fma(y, splat(args.scales[row]), load_first(out, n));
  } else if (args.bias != nullptr) {
    y = y + load_first(args.bias + first_out, n);
  }
  store_first(out, y, n);
}

// A finished tile: `count` rows from `first` on, each kPanels panels wide. c_up: of silu_mul, or null.
template <typename P, int kPanels>
QWEN3_INLINE void write_tile(const LinearArgs& args,
                             int64_t first,
                             int64_t count,
                             int64_t panel,
                             const float* c,
                             const float* c_up) {
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t p = 0; p < kPanels; ++p) {
      const int64_t at = (r * kPanels + p) * kPanel;
      const f32x16 up = c_up != nullptr ? load(c_up + at) : zero();
      write_panel<P>(args, first + r, (panel + p) * kPanel, load(c + at), up);
    }
  }
}

// The tiles of a group of panels ask for the next group while they compute: tile t for panels t and
// t + n_tiles. A lone tile does not: it already goes at the speed of memory. Without this the first
// tile waits for memory and the others for arithmetic: 16 rows took 25 + 25 ms where 41 ms of
// arithmetic could hide 25 ms of memory (Qwen3-0.6B, all layers). AMD EPYC (Zen 4), 2 cores,
// 2026-11-24.
template <typename W>
struct NextPanels {
  const W* panels[kAheadPanels];

  QWEN3_INLINE NextPanels(
      const W* const* w, int64_t n_panels, int64_t distance, int64_t tile, int64_t n_tiles) {
    for (int64_t i = 0; i < kAheadPanels; ++i) {
      const int64_t p = tile + i * n_tiles;
      panels[i] = p < n_panels ? w[p] + distance : w[0];  // w[0] is in cache: asking costs nothing
    }
  }
};

// The leaves of a product; without, one of all inputs, for which there is room in `whole`.
struct LeafList {
  Leaf whole;
  const Leaf* leaves;
  int64_t n;

  explicit QWEN3_INLINE LeafList(const LinearArgs& args)
      : whole{0, args.n_in, 0},
        leaves(args.n_leaves == 0 ? &whole : args.leaves),
        n(args.n_leaves == 0 ? 1 : args.n_leaves) {}
  LeafList(const LeafList&) = delete;
};

// The sum of a leaf, in registers, takes in the sums before it that its node covers, and is put behind
// those that are left; returns where the next goes. Sums are kRows x kPanels x 16 floats.
template <int kRows, int kPanels>
QWEN3_INLINE float* merge_and_store(f32x16 (&acc)[kRows][kPanels], float* c, int64_t n_merges) {
  constexpr int64_t kSum = kRows * kPanels * kPanel;
  for (; n_merges > 0; --n_merges) {
    c -= kSum;
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kPanels; ++p) {
        acc[r][p] = load(c + (r * kPanels + p) * kPanel) + acc[r][p];
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) store(c + (r * kPanels + p) * kPanel, acc[r][p]);
  }
  return c + kSum;
}

// c[r][p][lane] = the product of row r and panel p, in c's first kRows x kPanels x 16 floats of
// kMaxSums times as many.
template <typename P, int kRows, int kPanels, Ahead kAhead>
__attribute__((noinline)) void product_tile(float* c,
                                            const typename P::X* const* x_rows,
                                            const typename P::W* const* w_panels,
                                            const typename P::W* const* next_panels,
                                            const Leaf* leaves,
                                            int64_t n_leaves) {
  constexpr int kNext = kAhead == Ahead::two_panels ? kAheadPanels : kPanels;
  for (const Leaf* leaf = leaves; leaf < leaves + n_leaves; ++leaf) {
    const typename P::X* x[kRows];
    for (int r = 0; r < kRows; ++r) x[r] = x_rows[r] + leaf->begin;
    const typename P::W* w[kPanels];
    for (int p = 0; p < kPanels; ++p) w[p] = w_panels[p] + leaf->begin * kPanel;
    const typename P::W* next[kNext];
    if constexpr (kAhead != Ahead::none) {
      for (int p = 0; p < kNext; ++p) next[p] = next_panels[p] + leaf->begin * kPanel;
    }
    f32x16 acc[kRows][kPanels];
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kPanels; ++p) acc[r][p] = zero();
    }
    dot_columns<P, kRows, kPanels, kAhead>(acc, x, w, next, leaf->end - leaf->begin);
    c = merge_and_store(acc, c, leaf->n_merges);
  }
}

// product_tile for a number of rows known at run time, 1 to kTileRows.
template <typename P, int kPanels, Ahead kAhead = Ahead::none, int kRows = kTileRows>
QWEN3_INLINE void product_rows(int64_t rows,
                               float* c,
                               const typename P::X* const* x,
                               const typename P::W* const* w,
                               const LeafList& leaves,
                               const typename P::W* const* next = nullptr) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      product_rows<P, kPanels, kAhead, kRows - 1>(rows, c, x, w, leaves, next);
      return;
    }
  }
  product_tile<P, kRows, kPanels, kAhead>(c, x, w, next, leaves.leaves, leaves.n);
}

// All rows times kPanels panels from `panel` on; the group after it is asked for if there is one.
template <typename P, int kPanels>
void linear_panels(
    const LinearArgs& args, int64_t row_begin, int64_t row_end, int64_t panel, int64_t panel_end) {
  using X = typename P::X;
  using W = typename P::W;
  const int64_t padded_in = (args.n_in + P::kColumns - 1) / P::kColumns * P::kColumns;
  const W* w[kPanels];
  const W* w_up[kPanels];
  for (int p = 0; p < kPanels; ++p) {
    const int64_t offset = (panel + p) * padded_in * kPanel;
    w[p] = static_cast<const W*>(args.w) + offset;
    w_up[p] = args.w_up != nullptr ? static_cast<const W*>(args.w_up) + offset : nullptr;
  }
  const LeafList leaves(args);
  const int64_t group_size = kPanels * padded_in * kPanel;
  const bool more = panel + 2 * kPanels <= panel_end;
  // Tiles of equal height: 16 rows as 6 + 5 + 5.
  const int64_t n_rows = row_end - row_begin;
  const int64_t n_tiles = (n_rows + kTileRows - 1) / kTileRows;
  for (int64_t tile = 0; tile < n_tiles; ++tile) {
    const int64_t first = row_begin + n_rows * tile / n_tiles;
    const int64_t count = row_begin + n_rows * (tile + 1) / n_tiles - first;
    const X* x[kTileRows];
    for (int64_t r = 0; r < count; ++r) {
      const int64_t row = args.x_rows != nullptr ? args.x_rows[first + r] : first + r;
      x[r] = static_cast<const X*>(args.x) + row * args.x_stride;
    }
    constexpr int64_t kSum = kTileRows * kPanels * kPanel;
    alignas(64) float c[kMaxSums * kSum];
    float* const c_up = c + kSum;  // only products without leaves have it: no sum lies there
    if (more && n_tiles > 1) {
      const NextPanels<W> next(w, kPanels, group_size, tile, n_tiles);
      product_rows<P, kPanels, Ahead::two_panels>(count, c, x, w, leaves, next.panels);
    } else {
      product_rows<P, kPanels>(count, c, x, w, leaves);
    }
    if (args.w_up != nullptr) product_rows<P, kPanels>(count, c_up, x, w_up, leaves);
    write_tile<P, kPanels>(args, first, count, panel, c, args.w_up != nullptr ? c_up : nullptr);
  }
}

// With so few rows the memory decides, and panel after panel is one unbroken stream through it,
// which the prefetchers follow best: 33 GB/s on one core, 29 with four panels abreast; asking ahead
// by software adds nothing. From three rows on four panels abreast win, by having more independent
// accumulators. Products by FMA have two additions in a row where a dot product has one, so they
// need two panels to keep up: AVX2 17 GB/s with one, AVX-512 29. AMD EPYC (Zen 4), 2 cores,
// 2026-11-24.
constexpr int64_t kStreamRows = 2;
template <typename P>
constexpr int kStreamPanels = sizeof(typename P::X) == 2 ? 1 : 2;

// All whole groups of kPanels panels from `panel` on; returns the first panel left over.
template <typename P, int kPanels>
QWEN3_INLINE int64_t linear_groups(
    const LinearArgs& args, int64_t row_begin, int64_t row_end, int64_t panel, int64_t panel_end) {
  for (; panel + kPanels <= panel_end; panel += kPanels) {
    linear_panels<P, kPanels>(args, row_begin, row_end, panel, panel_end);
  }
  return panel;
}

template <typename P>
void linear(const LinearArgs& args,
            int64_t row_begin,
            int64_t row_end,
            int64_t panel_begin,
            int64_t panel_end) {
  const int64_t rest =
      row_end - row_begin <= kStreamRows
          ? linear_groups<P, kStreamPanels<P>>(args, row_begin, row_end, panel_begin, panel_end)
          : linear_groups<P, kTilePanels>(args, row_begin, row_end, panel_begin, panel_end);
  linear_groups<P, 1>(args, row_begin, row_end, rest, panel_end);
}

}  // namespace
}  // namespace qwen3::cpu
