// Linear layers over quantised panels in AMX tiles, for thirteen rows and more: the integer sums of
// block_kernel.h by TDPBSSD or TDPBSUD, its float steps in its order, and so its bits.
//
// A scale ends every 32 inputs (every 16 in Q2_K, Q3_K and Q6_K), so a tile of sums takes in one such slot
// and goes to memory: 16 rows of 32 bytes times 8 rows of 64 fill half of the instruction's depth, and it
// takes its 16 cycles all the same. That is no loss, for the float steps of these 256 sums (convert,
// multiply the scales, add: 48 instructions, 64 with offsets) take longer: while tile instructions run, and
// some 250 ns after, a Sapphire Rapids multiplies, adds and converts 512-bit floats on one port, not
// on two (measured; 256 bits go on two, which is as much). So 48 or 64 cycles are the floor of a slot, where
// registers need 128 products and as many steps and a bias more on both ports, 96 to 104 cycles: at most
// twice the speed. Measured are 1.2 to 1.65 (docs/performance.md).
//
// To come near it, tiles are filled beside the float steps: while a tile's rows take in four slots, the
// next tile's are multiplied. Codes become bytes once for all rows (of up to eight tiles), in L1, less
// their bias, which the float steps then need not subtract.
#pragma once

#include "kernels/cpu/block_layout.h"
#include "kernels/cpu/isa/amx_tiles.h"
#include "kernels/cpu/isa/block_kernel.h"
#include "kernels/cpu/isa/linear_kernel.h"
#include "kernels/cpu/kernel_table.h"

namespace qwen3::cpu {
namespace {

// Up to here rows go through registers: with eight of them tiles take 1.2 times as long, with 16 0.9 times.
constexpr int64_t kAmxFewRows = 12;
constexpr int64_t kAmxTiles =
    8;  // that share what was unpacked: 128 rows, with 16 KiB of float sums
constexpr int64_t kAmxSlots =
    4;  // of a stage: 8 KiB of sums under way, twice, leave room in an L1 of 48
constexpr int64_t kAmxStepRows = 4;  // whose float sums stay in registers for the slots of a stage
constexpr int64_t kAmxBlockAhead = 2048;  // bytes of codes of a panel to ask for ahead

// A format in tiles. A slot is what shares a scale.
template <typename F, int kWide>
struct AmxFormat {
  static constexpr int64_t kInputs = kBlockGroup / F::kParts;  // of a slot
  static constexpr int64_t kSlotBytes = kInputs * kPanel;
  // Where codes have a bias they are signed without it; where not they may be larger than 127.
  static constexpr bool kSigned = F::kBias != 0;

  // What a stage of kWide panels needs of its weights.
  struct Weights {
    alignas(64) uint8_t codes[kWide][kAmxSlots * kSlotBytes];
    alignas(64) float scales[kAmxSlots][kWide][kPanel];
    alignas(64) float offsets[kAmxSlots][kWide][kPanel];
  };
  struct Sums {
    alignas(64) int32_t sums[kAmxSlots][kWide][kAmxSums];
  };
};

// Up to kAmxSlots slots of a leaf.
struct AmxStage {
  const Leaf* leaf;
  int64_t begin;  // input
  int64_t n_slots;
};
template <int64_t kInputs>
QWEN3_INLINE AmxStage stage_at(const Leaf* leaf, int64_t begin) {
  const int64_t left = (leaf->end - begin) / kInputs;
  return {leaf, begin, left < kAmxSlots ? left : kAmxSlots};
}

// Rows and panels of a product.
template <int kWide>
struct AmxBlocks {
  const uint8_t* x[kAmxTiles];  // first rows of tiles
  int64_t x_stride;
  int64_t n_tiles;
  int64_t rows;  // of each tile
  int64_t n_in;
  const uint8_t* heads[kWide];
  const uint8_t* codes[kWide];
};

template <typename F, int kWide>
__attribute__((noinline)) void unpack_stage(typename AmxFormat<F, kWide>::Weights& to,
                                            const AmxBlocks<kWide>& in,
                                            const AmxStage& stage) {
  constexpr int64_t kInputs = AmxFormat<F, kWide>::kInputs;
  constexpr int kSteps = 8 / F::kParts;
  using Bytes = uint8_t __attribute__((vector_size(kRegisterBytes)));
  for (int p = 0; p < kWide; ++p) {
    for (int64_t slot = 0; slot < stage.n_slots; slot += F::kParts) {
      const int64_t g = stage.begin / kBlockGroup + slot / F::kParts;
      const uint8_t* const codes = in.codes[p] + g * code_bytes(F::kCodes);
      for (int64_t at = 0; at < code_bytes(F::kCodes); at += kAmxLine) {
        __builtin_prefetch(codes + at + kAmxBlockAhead, 0, 2);
      }
      unrolled<F::kParts>([&](auto part_index) __attribute__((always_inline)) {
        constexpr int part = decltype(part_index)::value;
        uint8_t* const bytes = to.codes[p] + (slot + part) * kInputs * kPanel;
        unrolled<kSteps>([&](auto step_index) __attribute__((always_inline)) {
          constexpr int s = decltype(step_index)::value;
          i32x16 w = load_codes<F::kCodes>(codes, part * kSteps + s);
          if constexpr (F::kBias != 0) {
            for (int i = 0; i < kRegisters; ++i) {
              w.r[i] = (RegInt)((Bytes)w.r[i] - static_cast<uint8_t>(F::kBias));
            }
          }
          store_int(bytes + s * kAmxLine, w);
        });
        store(to.scales[slot + part][p], F::scale(in.heads[p], g, part));
        if constexpr (F::kOffsets) {
          store(to.offsets[slot + part][p], F::offset(in.heads[p], g, part));
        }
      });
    }
  }
  before_tile_loads(&to);
}

// A slot's sums stay in tiles, those of an odd slot in other ones than those of an even one, until the
// products of the next slot begin: a store right behind its products waits for them, and all that follows
// waits for it.
struct AmxPending {
  int32_t (*sums)[kAmxSums] = nullptr;  // where they are to go, by panel
  bool odd = false;

  template <int kPanelOf>
  QWEN3_INLINE void store() const {
    if (sums == nullptr) return;
    if (odd) {
      if constexpr (kPanelOf == 0) _tile_stored(2, sums[0], kAmxLine);
      if constexpr (kPanelOf == 1) _tile_stored(3, sums[1], kAmxLine);
    } else {
      if constexpr (kPanelOf == 0) _tile_stored(0, sums[0], kAmxLine);
      if constexpr (kPanelOf == 1) _tile_stored(1, sums[1], kAmxLine);
    }
  }
};

// The slot's products of a tile's rows with all panels, from zero.
template <typename F, int kWide>
QWEN3_INLINE void multiply_slot(typename AmxFormat<F, kWide>::Sums& to,
                                const typename AmxFormat<F, kWide>::Weights& w,
                                const uint8_t* x,
                                int64_t x_stride,
                                int64_t slot,
                                AmxPending& pending) {
  using Format = AmxFormat<F, kWide>;
  const uint8_t* const inputs = x + slot * Format::kInputs;
  const uint8_t* const codes = w.codes[0] + slot * Format::kSlotBytes;
  const uint8_t* const second = w.codes[kWide - 1] + slot * Format::kSlotBytes;
  if (slot % 2 == 0) {
    _tile_loadd(4, inputs, x_stride);
    _tile_loadd(6, codes, kAmxLine);
    if constexpr (kWide == 2) _tile_loadd(7, second, kAmxLine);
    pending.store<0>();
    _tile_zero(0);
    if constexpr (Format::kSigned) _tile_dpbssd(0, 4, 6);
    if constexpr (!Format::kSigned) _tile_dpbsud(0, 4, 6);
    if constexpr (kWide == 2) {
      pending.store<1>();
      _tile_zero(1);
      if constexpr (Format::kSigned) _tile_dpbssd(1, 4, 7);
      if constexpr (!Format::kSigned) _tile_dpbsud(1, 4, 7);
    }
  } else {
    _tile_loadd(5, inputs, x_stride);
    _tile_loadd(6, codes, kAmxLine);
    if constexpr (kWide == 2) _tile_loadd(7, second, kAmxLine);
    pending.store<0>();
    _tile_zero(2);
    if constexpr (Format::kSigned) _tile_dpbssd(2, 5, 6);
    if constexpr (!Format::kSigned) _tile_dpbsud(2, 5, 6);
    if constexpr (kWide == 2) {
      pending.store<1>();
      _tile_zero(3);
      if constexpr (Format::kSigned) _tile_dpbssd(3, 5, 7);
      if constexpr (!Format::kSigned) _tile_dpbsud(3, 5, 7);
    }
  }
  pending = {to.sums[slot], slot % 2 != 0};
}

// What a tile's rows take in: sums of the slots of a stage, and what goes with them.
template <typename F, int kWide>
struct AmxTurn {
  const uint8_t* x = nullptr;  // the tile's first row
  AmxStage stage = {};         // of no slots: there is nothing left to do
  const typename AmxFormat<F, kWide>::Weights* weights = nullptr;
  typename AmxFormat<F, kWide>::Sums* sums = nullptr;

  QWEN3_INLINE void multiply(int64_t slot, int64_t x_stride, AmxPending& pending) const {
    multiply_slot<F, kWide>(*sums, *weights, x + stage.begin, x_stride, slot, pending);
  }

  // c [16, kWide, 16]: rows [row, row + kRows) take in all slots of the stage, which are kSlots, or, for
  // zero, as many as there are.
  template <int kRows, int kSlots>
  QWEN3_INLINE void scale(float* c, const AmxBlocks<kWide>& in, int64_t row) const {
    f32x16 acc[kRows][kWide];
    float* const own = c + row * kWide * kPanel;
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kWide; ++p) acc[r][p] = load(own + (r * kWide + p) * kPanel);
    }
    const uint8_t* const shared = x + row * in.x_stride + in.n_in;
    const auto take_in = [&](int64_t slot) __attribute__((always_inline)) {
      const int64_t g = stage.begin / kBlockGroup + slot / F::kParts;
      f32x16 scale[kWide], offset[kWide];
      for (int p = 0; p < kWide; ++p) {
        scale[p] = load(weights->scales[slot][p]);
        offset[p] = F::kOffsets ? load(weights->offsets[slot][p]) : zero();
      }
      for (int r = 0; r < kRows; ++r) {
        const auto* group = reinterpret_cast<const ActivationGroup*>(shared + r * in.x_stride) + g;
        for (int p = 0; p < kWide; ++p) {
          const i32x16 sum = load_int(sums->sums[slot][p] + (row + r) * kPanel);
          acc[r][p] = add_group<F, F::kBias>(
              acc[r][p], sum, scale[p], offset[p], *group, static_cast<int>(slot % F::kParts));
        }
      }
    };
    if constexpr (kSlots > 0) {
      unrolled<kSlots>([&](auto slot)
                           __attribute__((always_inline)) { take_in(decltype(slot)::value); });
    } else {
      for (int64_t slot = 0; slot < stage.n_slots; ++slot) take_in(slot);
    }
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kWide; ++p) store(own + (r * kWide + p) * kPanel, acc[r][p]);
    }
  }
};

// A tile's rows take in their slots while those of the next turn are multiplied.
template <typename F, int kWide>
QWEN3_INLINE void take_turn(float* c,
                            const AmxBlocks<kWide>& in,
                            const AmxTurn<F, kWide>& turn,
                            const AmxTurn<F, kWide>& next,
                            AmxPending& pending) {
  static_assert(kAmxSlots * kAmxStepRows == kAmxRows);
  if (in.rows == kAmxRows && turn.stage.n_slots == kAmxSlots && next.stage.n_slots == kAmxSlots) {
    unrolled<kAmxSlots>([&](auto step) __attribute__((always_inline)) {
      constexpr int i = decltype(step)::value;
      next.multiply(i, in.x_stride, pending);
      turn.template scale<kAmxStepRows, kAmxSlots>(c, in, i * kAmxStepRows);
    });
    return;
  }
  for (int64_t i = 0; i < kAmxSlots; ++i) {
    if (i < next.stage.n_slots) {
      next.multiply(i, in.x_stride, pending);
    } else {
      pending.store<0>();
      if constexpr (kWide == 2) pending.store<1>();
      pending = {};
    }
    int64_t row = i * kAmxStepRows;
    if (row + kAmxStepRows <= in.rows) {
      turn.template scale<kAmxStepRows, 0>(c, in, row);
    } else {
      for (; row < in.rows; ++row) turn.template scale<1, 0>(c, in, row);
    }
  }
}

// c[tile][16][kWide][16] = the products, in the first of kMaxSums times kAmxTiles tiles.
template <typename F, int kWide>
__attribute__((noinline)) void block_tiles(float* c,
                                           const AmxBlocks<kWide>& in,
                                           const LeafList& leaves) {
  using Format = AmxFormat<F, kWide>;
  constexpr int64_t kTile = kWide * kAmxSums, kSum = kAmxTiles * kTile;
  typename Format::Weights weights[2];
  typename Format::Sums sums[2];
  AmxPending pending;
  int w = 0, s = 0;
  const auto clear = [&] { __builtin_memset(c, 0, static_cast<size_t>(in.n_tiles * kTile * 4)); };

  AmxStage stage = stage_at<Format::kInputs>(leaves.leaves, leaves.leaves->begin);
  unpack_stage<F>(weights[w], in, stage);
  AmxTurn<F, kWide> turn{in.x[0], stage, &weights[w], &sums[s]};
  for (int64_t slot = 0; slot < stage.n_slots; ++slot) {
    turn.multiply(slot, in.x_stride, pending);
  }
  clear();
  while (true) {
    const int64_t end = stage.begin + stage.n_slots * Format::kInputs;
    const bool leaf_ends = end == stage.leaf->end;
    const bool more = !leaf_ends || stage.leaf + 1 < leaves.leaves + leaves.n;
    AmxStage next = {};
    if (more) {
      next = leaf_ends ? stage_at<Format::kInputs>(stage.leaf + 1, stage.leaf[1].begin)
                       : stage_at<Format::kInputs>(stage.leaf, end);
    }
    for (int64_t tile = 0; tile < in.n_tiles; ++tile) {
      s = 1 - s;
      AmxTurn<F, kWide> following;
      if (tile + 1 < in.n_tiles) {
        following = {in.x[tile + 1], stage, &weights[w], &sums[s]};
      } else if (more) {
        w = 1 - w;
        unpack_stage<F>(weights[w], in, next);
        following = {in.x[0], next, &weights[w], &sums[s]};
      }
      take_turn(c + tile * kTile, in, turn, following, pending);
      turn = following;
    }
    if (leaf_ends) {
      for (int64_t i = 0; i < stage.leaf->n_merges; ++i, c -= kSum) {
        for (int64_t at = 0; at < in.n_tiles * kTile; at += kPanel) {
          store(c - kSum + at, load(c - kSum + at) + load(c + at));
        }
      }
      if (!more) return;
      c += kSum;
      clear();
    }
    stage = next;
  }
}

// Rows [first, first + 16 · kAmxTiles) of those up to row_end, or as many as there are, times kWide
// panels. A last tile of fewer than 16 rows begins earlier; what was there before is not written again.
template <Blocks kBlocks, int kWide>
void amx_block_rows(
    const LinearArgs& args, int64_t first, int64_t row_end, int64_t rows, int64_t panel) {
  using F = BlockFormat<kBlocks>;
  AmxBlocks<kWide> in;
  in.x_stride = args.x_stride;
  in.n_tiles = (row_end - first + kAmxRows - 1) / kAmxRows;
  if (in.n_tiles > kAmxTiles) in.n_tiles = kAmxTiles;
  in.rows = rows;
  in.n_in = args.n_in;
  int64_t begin[kAmxTiles];
  for (int64_t t = 0; t < in.n_tiles; ++t) {
    const int64_t wanted = first + t * kAmxRows;
    begin[t] = wanted + rows <= row_end ? wanted : row_end - rows;
    in.x[t] = static_cast<const uint8_t*>(args.x) + begin[t] * args.x_stride;
  }
  const LeafList leaves(args);
  // The second product, of those without leaves, lies where no sum of the first does.
  alignas(64) float c[kMaxSums][kAmxTiles * kWide * kAmxSums];
  const int n_matrices = args.w_up != nullptr ? 2 : 1;
  for (int m = 0; m < n_matrices; ++m) {
    const auto* const w = static_cast<const uint8_t*>(m == 0 ? args.w : args.w_up);
    for (int p = 0; p < kWide; ++p) {
      in.heads[p] = w + (panel + p) * block_panel_bytes(F::kLayout, args.n_in);
      in.codes[p] = in.heads[p] + head_region(F::kLayout, args.n_in);
    }
    block_tiles<F>(c[m], in, leaves);
  }
  for (int64_t t = 0; t < in.n_tiles; ++t) {
    for (int64_t r = first + t * kAmxRows - begin[t]; r < rows; ++r) {
      for (int64_t p = 0; p < kWide; ++p) {
        const int64_t at = ((t * kAmxRows + r) * kWide + p) * kPanel;
        const f32x16 up = n_matrices == 2 ? load(c[1] + at) : zero();
        write_panel<F32Product>(args, begin[t] + r, (panel + p) * kPanel, load(c[0] + at), up);
      }
    }
  }
}

// Tiles for whole sixteens and for a rest of more than kAmxFewRows; registers for a smaller rest, which
// finds the panels in the cache. Either way a row gets the same bits.
template <Blocks kBlocks>
void block_linear_amx(const LinearArgs& args,
                      int64_t row_begin,
                      int64_t row_end,
                      int64_t panel_begin,
                      int64_t panel_end) {
  const int64_t n_rows = row_end - row_begin, rest = n_rows % kAmxRows;
  const int64_t tiled_end = rest <= kAmxFewRows ? row_end - rest : row_end;
  if (tiled_end == row_begin) {
    block_linear<kBlocks>(args, row_begin, row_end, panel_begin, panel_end);
    return;
  }
  using F = BlockFormat<kBlocks>;
  const int64_t rows = n_rows < kAmxRows ? n_rows : kAmxRows;
  AmxConfig config;
  for (int tile = 0; tile < 4; ++tile) config.set(tile, rows, kAmxLine);
  for (int tile = 4; tile < 6; ++tile) config.set(tile, rows, kBlockGroup / F::kParts);
  for (int tile = 6; tile < 8; ++tile) config.set(tile, 8 / F::kParts, kAmxLine);
  config.load();
  const auto panels = [&](int64_t panel, auto wide) {
    constexpr int kWide = decltype(wide)::value;
    for (int64_t row = row_begin; row < tiled_end; row += kAmxTiles * kAmxRows) {
      amx_block_rows<kBlocks, kWide>(args, row, tiled_end, rows, panel);
    }
    if (tiled_end < row_end) block_panels<kBlocks, kWide>(args, tiled_end, row_end, panel);
  };
  int64_t panel = panel_begin;
  for (; panel + 2 <= panel_end; panel += 2) panels(panel, Index<2>{});
  for (; panel < panel_end; ++panel) panels(panel, Index<1>{});
  _tile_release();
}

}  // namespace
}  // namespace qwen3::cpu
