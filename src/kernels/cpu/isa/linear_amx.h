// Linear layers in AMX tiles: one TDPBF16PS multiplies 16 rows of activations by a panel, 32
// columns deep, in 16 cycles. All threads together gave 23 TFLOP/s so, and 0.55 with vdpbf16ps, on
// the machine below: 16 rows wait for memory instead of arithmetic. 32 columns of a panel of 16-bit
// weights are 1 KiB that lies exactly as the instruction wants its second operand: weights are
// packed as for every other instruction set.
//
// The instruction rounds by the book (Intel's manual, TDPBF16PS): for each output, the products of
// the even and of the odd columns of a tile are summed by two chains of FMAs from zero, the two
// sums are added, and their sum is added to C; denormal operands and results count as zero, and
// MXCSR is not looked at. None of it depends on how many rows a tile has, so one row goes through
// the same instruction as sixteen and gets the same bits. Numbers below: Intel Xeon of model 207,
// 16 virtual cores, 2026-11-27.
#pragma once

#include "kernels/cpu/isa/amx_tiles.h"
#include "kernels/cpu/isa/linear_kernel.h"

namespace qwen3::cpu {
namespace {

constexpr int64_t kAmxColumns = 32;                  // of a tile: 64 bytes of bfloat16
constexpr int64_t kAmxShort = 512;                   // columns of a short panel, 16 KiB
constexpr int64_t kAmxPanel = kAmxColumns * kPanel;  // weights in a tile

// Tiles 0 to 3 hold sums, 4 and 5 activations, 6 and 7 panels.
QWEN3_INLINE void configure_tiles(int64_t rows) {
  AmxConfig config;
  for (int tile = 0; tile < 8; ++tile) config.set(tile, tile < 6 ? rows : kAmxRows, kAmxLine);
  config.load();
}

// Sums += kRowTiles tiles of activations times kPanels panels, 32 columns deep. Strides in bytes.
template <int kRowTiles, int kPanels>
QWEN3_INLINE void amx_step(const uint16_t* x,
                           int64_t x_stride,
                           const uint16_t* second_x,
                           const uint16_t* w,
                           const uint16_t* second_w) {
  _tile_loadd(4, x, x_stride);
  _tile_loadd(6, w, kAmxLine);
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (kPanels == 2) {
    _tile_loadd(7, second_w, kAmxLine);
    _tile_dpbf16ps(1, 4, 7);
  }
  if constexpr (kRowTiles == 2) {
    _tile_loadd(5, second_x, x_stride);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (kPanels == 2) _tile_dpbf16ps(3, 5, 7);
  }
}

// The last columns of rows and panels, with zeros up to a whole tile. Real models have none: their
// sizes are multiples of 32.
struct AmxTail {
  alignas(64) uint16_t x[2][kAmxRows * kAmxColumns];
  alignas(64) uint16_t w[2][kAmxPanel];

  QWEN3_INLINE void clear() {
    __builtin_memset(x, 0, sizeof(x));
    __builtin_memset(w, 0, sizeof(w));
  }
  QWEN3_INLINE void take_rows(
      int i, const uint16_t* from, int64_t stride, int64_t rows, int64_t n) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < n; ++j) x[i][r * kAmxColumns + j] = from[r * stride + j];
    }
  }
  QWEN3_INLINE void take_panel(int i, const uint16_t* from, int64_t n) {
    for (int64_t j = 0; j < (n + 1) / 2 * 2 * kPanel; ++j) w[i][j] = from[j];
  }
};

// Asking for panels this far ahead, in columns of a panel or pair of panels, keeps 8 KiB under way.
// 16 rows stream at 116 GB/s with it and at 90 to 103 without.
template <int kPanels>
constexpr int64_t kAmxAhead = 256 / kPanels;

// Where the rows and panels of a tile lie. The second of each is looked at as far as there is one.
struct AmxOperands {
  const uint16_t* x[2];
  int64_t x_stride;  // elements
  int64_t rows;      // of each x
  const uint16_t* w[2];
  int64_t n;  // columns
  const Leaf* leaves;
  int64_t n_leaves;
  const uint16_t* w_end;  // of this task: what lies beyond is for other threads to ask for
  bool from_memory;       // no rows before these have brought the panels into L2
};

// c[row tile][panel][16, 16] = the products of columns [begin, end), summed from zero.
template <int kRowTiles, int kPanels>
QWEN3_INLINE void amx_leaf(float* c, const AmxOperands& in, int64_t begin, int64_t end) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const int64_t stride = in.x_stride * 2;
  const int64_t whole = begin + (end - begin) / kAmxColumns * kAmxColumns;
  // What follows a panel of a pair in the stream lies after the other one.
  const int64_t skip = in.w[1] - in.w[0];
  for (int64_t k = begin; k < whole; k += kAmxColumns) {
    const int64_t ahead = k + kAmxAhead<kPanels>;
    const int64_t offset = ahead * kPanel + (ahead < in.n ? 0 : skip);
    for (int p = 0; in.from_memory && p < kPanels; ++p) {
      const uint16_t* w = in.w[p] + offset < in.w_end ? in.w[p] + offset : in.w[p];
      for (int line = 0; line < 16; ++line) __builtin_prefetch(w + line * kAmxLine / 2, 0, 2);
    }
    amx_step<kRowTiles, kPanels>(
        in.x[0] + k, stride, in.x[1] + k, in.w[0] + k * kPanel, in.w[1] + k * kPanel);
  }
  if (whole < end) {
    AmxTail tail;
    tail.clear();
    for (int i = 0; i < kRowTiles; ++i) {
      tail.take_rows(i, in.x[i] + whole, in.x_stride, in.rows, end - whole);
    }
    for (int i = 0; i < kPanels; ++i) tail.take_panel(i, in.w[i] + whole * kPanel, end - whole);
    before_tile_loads(&tail);
    amx_step<kRowTiles, kPanels>(tail.x[0], kAmxLine, tail.x[1], tail.w[0], tail.w[1]);
  }
  _tile_stored(0, c, kAmxLine);
  if constexpr (kPanels == 2) _tile_stored(1, c + kAmxSums, kAmxLine);
  if constexpr (kRowTiles == 2) {
    _tile_stored(2, c + kPanels * kAmxSums, kAmxLine);
    if constexpr (kPanels == 2) _tile_stored(3, c + 3 * kAmxSums, kAmxLine);
  }
}

// c = the products, in its first kRowTiles x kPanels tiles of kMaxSums times as many.
template <int kRowTiles, int kPanels>
QWEN3_INLINE void amx_tile(float* c, const AmxOperands& in) {
  constexpr int64_t kSum = kRowTiles * kPanels * kAmxSums;
  for (const Leaf* leaf = in.leaves; leaf < in.leaves + in.n_leaves; ++leaf) {
    amx_leaf<kRowTiles, kPanels>(c, in, leaf->begin, leaf->end);
    c += kSum;
    for (int64_t i = 0; i < leaf->n_merges; ++i) {
      c -= kSum;
      float* const left = c - kSum;
      for (int64_t at = 0; at < kSum; at += kPanel)
        store(left + at, load(left + at) + load(c + at));
    }
  }
}

struct AmxRange {
  int64_t row_begin, row_end, panel_end;
};

// Rows [first, first + 16 * kRowTiles), or as many as there are, times kPanels panels. A last tile
// of fewer than 16 rows begins earlier: the instruction takes as long for one row as for 16, a
// change of configuration longer than either, and a row's bits do not depend on its neighbours. The
// rows that were there before are not written again.
template <int kRowTiles, int kPanels>
void amx_rows(const LinearArgs& args, const AmxRange& range, int64_t first, int64_t panel) {
  const int64_t padded_in = (args.n_in + 1) / 2 * 2;
  const int64_t panel_size = padded_in * kPanel;
  const int64_t n_rows = range.row_end - range.row_begin;
  AmxOperands in;
  in.rows = n_rows < kAmxRows ? n_rows : kAmxRows;
  in.x_stride = args.x_stride;
  in.n = args.n_in;
  in.from_memory = first == range.row_begin;
  int64_t begin[2] = {first, first};
  for (int i = 0; i < kRowTiles; ++i) {
    const int64_t wanted = first + i * kAmxRows;
    begin[i] = wanted + in.rows <= range.row_end ? wanted : range.row_end - in.rows;
    in.x[i] = static_cast<const uint16_t*>(args.x) + begin[i] * args.x_stride;
  }
  if constexpr (kRowTiles == 1) in.x[1] = in.x[0];

  const LeafList leaves(args);
  in.leaves = leaves.leaves;
  in.n_leaves = leaves.n;
  // The second product, of those without leaves, lies where no sum of the first does.
  alignas(64) float c[kMaxSums][kRowTiles * kPanels * kAmxSums];
  const void* weights[2] = {args.w, args.w_up};
  const int n_products = args.w_up != nullptr ? 2 : 1;
  for (int product = 0; product < n_products; ++product) {
    const auto* w = static_cast<const uint16_t*>(weights[product]);
    in.w[0] = w + panel * panel_size;
    in.w[1] = in.w[0] + (kPanels - 1) * panel_size;
    in.w_end = w + range.panel_end * panel_size;
    amx_tile<kRowTiles, kPanels>(c[product], in);
  }
  for (int i = 0; i < kRowTiles; ++i) {
    const int64_t written = first + i * kAmxRows;
    for (int64_t r = written - begin[i]; r < in.rows; ++r) {
      for (int64_t p = 0; p < kPanels; ++p) {
        const int64_t at = (i * kPanels + p) * kAmxSums + r * kPanel;
        const f32x16 up = args.w_up != nullptr ? load(c[1] + at) : zero();
        write_panel<Bf16DotProduct>(args, begin[i] + r, (panel + p) * kPanel, load(c[0] + at), up);
      }
    }
  }
}

template <int kPanels>
QWEN3_INLINE void amx_panels(const LinearArgs& args, const AmxRange& range, int64_t panel) {
  int64_t row = range.row_begin;
  for (; row + kAmxRows < range.row_end; row += 2 * kAmxRows) {
    amx_rows<2, kPanels>(args, range, row, panel);
  }
  if (row < range.row_end) amx_rows<1, kPanels>(args, range, row, panel);
}

// Few rows wait for memory, which likes one unbroken stream best, panel after panel: one row takes
// 2 to 6 % longer with two abreast. More rows take two, so that four products share four loads. So
// do short panels, which belong to models that lie in the caches: with two sums in turn, a product
// need not wait 52 cycles for the one before. Blocking over n_in as well did not pay.
void linear_amx(const LinearArgs& args,
                int64_t row_begin,
                int64_t row_end,
                int64_t panel_begin,
                int64_t panel_end) {
  const int64_t n_rows = row_end - row_begin;
  const AmxRange range = {row_begin, row_end, panel_end};
  configure_tiles(n_rows < kAmxRows ? n_rows : kAmxRows);
  int64_t panel = panel_begin;
  if (n_rows > kAmxRows || args.n_in <= kAmxShort) {
    for (; panel + 2 <= panel_end; panel += 2) amx_panels<2>(args, range, panel);
  }
  for (; panel < panel_end; ++panel) amx_panels<1>(args, range, panel);
  _tile_release();
}

}  // namespace
}  // namespace qwen3::cpu
