// Linear layers over quantised panels (block_layout.h): integer dot products of 32 inputs at a time,
// scaled and added up in float32.
//
// For each output, in each leaf of the inputs, groups ascending:  y = fma(float(Σ code·a - bias·Σa), scale_w · scale_a, y), then
// y = fma(offset_w, scale_a·Σa, y) where the format has offsets. The integer sums are exact, so their
// order is free, and the float steps are the same for every tile: a row's bits depend on nothing but
// the row, the weight, and whether the instruction set has a fused multiply-add.
#pragma once

#include "kernels/cpu/block_layout.h"
#include "kernels/cpu/isa/block_dot.h"
#include "kernels/cpu/isa/linear_kernel.h"
#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/kernel_table.h"

namespace qwen3::cpu {
namespace {

// ---- formats ------------------------------------------------------------------------------------

// table[nibble] of each byte.
QWEN3_INLINE i32x16 look_up(const uint8_t* table, i32x16 nibbles) {
#if defined(__AVX512BW__)
  const __m512i t = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
  return {{(RegInt)_mm512_shuffle_epi8(t, (__m512i)nibbles.r[0])}};
#elif defined(__AVX2__)
  const __m256i t =
      _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
  for (int i = 0; i < kRegisters; ++i) {
    nibbles.r[i] = (RegInt)_mm256_shuffle_epi8(t, (__m256i)nibbles.r[i]);
  }
  return nibbles;
#elif defined(__aarch64__)
  const uint8x16_t t = vld1q_u8(table);
  for (int i = 0; i < kRegisters; ++i) {
    nibbles.r[i] = (RegInt)vqtbl1q_u8(t, (uint8x16_t)nibbles.r[i]);
  }
  return nibbles;
#else
  alignas(64) int32_t lane[16];
  store_int(lane, nibbles);
  uint8_t bytes[64];
  __builtin_memcpy(bytes, lane, sizeof bytes);
  for (uint8_t& b : bytes) b = table[b];
  return load_int(bytes);
#endif
}

// 2^(e - 128) of each e in 0 … 255.
QWEN3_INLINE f32x16 power_of_two(i32x16 e) {
  i32x16 bits;
  for (int i = 0; i < kRegisters; ++i) {
    const RegInt tiny = e.r[i] < 2;  // all bits set where the power is no normal number
    bits.r[i] = (tiny & ((e.r[i] + 1) << 21)) | (~tiny & ((e.r[i] - 1) << 23));
  }
  return as_float(bits);
}

// The four codes of step `step` (of eight) of 32 inputs. Unrolled, steps share their loads.
template <Codes kCodes>
QWEN3_INLINE i32x16 load_codes(const uint8_t* c, int step) {
  if constexpr (kCodes == Codes::bytes) return load_int(c + 64 * step);
  if constexpr (kCodes == Codes::two_bits || kCodes == Codes::two_bits_and_bit) {
    const i32x16 low =
        shift_right(load_int(c + 64 * (step / 4)), 2 * (step % 4)) & splat_int(0x03030303);
    if constexpr (kCodes == Codes::two_bits) return low;
    return low | shift_left(shift_right(load_int(c + 128), step) & splat_int(0x01010101), 2);
  }
  const i32x16 pair = load_int(c + 64 * (step / 2));
  const i32x16 low = (step % 2 == 0 ? pair : shift_right(pair, 4)) & splat_int(0x0F0F0F0F);
  if constexpr (kCodes == Codes::nibbles_and_bit) {
    const i32x16 bits = load_int(c + 256);
    return low | shift_left(shift_right(bits, step) & splat_int(0x01010101), 4);
  }
  if constexpr (kCodes == Codes::nibbles_and_two_bits) {
    const i32x16 bits = load_int(c + 256 + 64 * (step / 4));
    return low | shift_left(shift_right(bits, 2 * (step % 4)) & splat_int(0x03030303), 4);
  }
  if constexpr (table_of(kCodes) != nullptr) return look_up(table_of(kCodes), low);
  return low;
}

// What 16 outputs share in part `part` of group `group` of 32 inputs.
template <Blocks kBlocks>
struct BlockFormat {
  static constexpr const BlockLayout& kLayout = layout_of(kBlocks);
  static constexpr Codes kCodes = kLayout.codes;
  static constexpr int kBias = kLayout.bias;
  static constexpr int kParts =
      kLayout.heads == Heads::k_signed || kLayout.heads == Heads::k_nibbles ? 2 : 1;
  static constexpr bool kOffsets =
      kLayout.heads == Heads::half_offset || kLayout.heads == Heads::k_with_minimum ||
      kLayout.heads == Heads::k_nibbles || kLayout.heads == Heads::single_offset;
  static constexpr int64_t kGroupsOfHead = kLayout.head_inputs / kBlockGroup;
  // What the factors of products lack of the codes.
  static constexpr int kExcess =
      kSignedCodes && (kCodes == Codes::bytes || kCodes == Codes::iq4) ? 128 : 0;

  static QWEN3_INLINE i32x16 factors(const uint8_t* codes, int step) {
    const i32x16 c = load_codes<kCodes>(codes, step);
    if constexpr (kExcess == 0) return c;
    return c ^ splat_int(static_cast<int32_t>(0x80808080u));
  }
  static QWEN3_INLINE const uint8_t* head(const uint8_t* heads, int64_t group) {
    return heads + group / kGroupsOfHead * head_bytes(kLayout.heads);
  }
  static QWEN3_INLINE f32x16 scale(const uint8_t* heads, int64_t group, int part) {
    const uint8_t* const h = head(heads, group);
    if constexpr (kLayout.heads == Heads::single_offset) {
      return load(reinterpret_cast<const float*>(h));
    } else if constexpr (kLayout.heads == Heads::k_with_minimum) {
      return load_halves(h) * to_float(load_unsigned(h + 64 + group % 8 * 32));
    } else if constexpr (kLayout.heads == Heads::k_signed) {
      return load_halves(h) * to_float(load_signed(h + 64 + (group % 8 * 2 + part) * 16));
    } else if constexpr (kLayout.heads == Heads::k_nibbles) {
      const i32x16 both = load_unsigned(h + 64 + (group % 8 * 2 + part) * 16);
      return load_halves(h) * to_float(both & splat_int(15));
    } else if constexpr (kLayout.heads == Heads::xs_signed) {
      return load_halves(h) * to_float(load_signed(h + 32 + group % 8 * 16));
    } else if constexpr (kLayout.heads == Heads::exponent) {
      return power_of_two(load_unsigned(h));
    } else {
      return load_halves(h);
    }
  }
  static QWEN3_INLINE f32x16 offset(const uint8_t* heads, int64_t group, int part) {
    const uint8_t* const h = head(heads, group);
    if constexpr (kLayout.heads == Heads::k_nibbles) {
      const i32x16 both = load_unsigned(h + 64 + (group % 8 * 2 + part) * 16);
      return zero() - load_halves(h + 32) * to_float(shift_right(both, 4));
    }
    if constexpr (kLayout.heads == Heads::single_offset) {
      return load(reinterpret_cast<const float*>(h + 64));
    } else if constexpr (kLayout.heads == Heads::k_with_minimum) {
      const f32x16 min = to_float(load_unsigned(h + 64 + group % 8 * 32 + 16));
      return zero() - load_halves(h + 32) * min;
    } else {
      return load_halves(h + 32);
    }
  }
};

// ---- tiles --------------------------------------------------------------------------------------

// body(Index<0>{}), body(Index<1>{}), … : unrolled whatever the compiler thinks of it.
template <int kIndex>
struct Index {
  static constexpr int value = kIndex;
};
template <int kCount, typename Body>
QWEN3_INLINE void unrolled(const Body& body) {
  if constexpr (kCount > 1) unrolled<kCount - 1>(body);
  body(Index<kCount - 1>{});
}

// Registers of a tile: rows x panels of integer and as many of float sums, the codes of a step and one
// broadcast. By matrix products four rows share what two would have to put in order each; their float
// sums wait in memory meanwhile.
#if defined(__AVX512F__)
constexpr int kBlockRows = 6, kBlockPanels = 2;
#elif defined(__ARM_FEATURE_MATMUL_INT8)
constexpr int kBlockRows = 4, kBlockPanels = 1;
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr int kBlockRows = 2, kBlockPanels = 1;
#else
constexpr int kBlockRows = 1, kBlockPanels = 1;
#endif

// With few sums an addition waits for the one before: two chains each.
template <int kRows, int kPanels>
#if defined(__aarch64__)
constexpr int kBlockChains =
    kRows* kPanels == 1 ? 2 : 1;  // of four registers, which go in parallel
#else
constexpr int kBlockChains = kRows* kPanels <= 4 ? 2 : 1;
#endif

// sums[r][p] = Σ (code - F::kExcess)·a of part kPart of a group: inputs x[r] and codes[p] are its own.
template <typename F, int kPart, int kRows, int kPanels>
QWEN3_INLINE void group_sums(i32x16 (&sums)[kRows][kPanels],
                             const uint8_t* const* x,
                             const uint8_t* const* codes,
                             int64_t x_at,
                             int64_t codes_at) {
  constexpr int kChains = kBlockChains<kRows, kPanels>;
  constexpr int kSteps = 8 / F::kParts;
  i32x16 dots[kChains][kRows][kPanels];
  unrolled<kSteps>([&](auto step_index) __attribute__((always_inline)) {
    constexpr int s = decltype(step_index)::value;
    constexpr int step = kPart * kSteps + s;
    i32x16 w[kPanels];
    for (int p = 0; p < kPanels; ++p) w[p] = F::factors(codes[p] + codes_at, step);
    for (int r = 0; r < kRows; ++r) {
      int32_t four;
      __builtin_memcpy(&four, x[r] + x_at + 4 * step, 4);
      const FourInputs inputs = broadcast(four);
      for (int p = 0; p < kPanels; ++p) {
        const i32x16 before = s < kChains ? splat_int(0) : dots[s % kChains][r][p];
        dots[s % kChains][r][p] = dot(before, w[p], inputs);
      }
    }
  });
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) {
      sums[r][p] = kChains == 2 ? dots[0][r][p] + dots[kChains - 1][r][p] : dots[0][r][p];
    }
  }
}

#if defined(__ARM_FEATURE_MATMUL_INT8)
// The same for several rows. USMMLA multiplies two outputs by two rows, eight inputs deep: twice the
// products of a dot product. Two steps side by side are the eight inputs of four outputs. An odd last row
// goes with itself.
template <typename F, int kPart, int kRows>
QWEN3_INLINE void group_sums_in_pairs(i32x16 (&sums)[kRows][1],
                                      const uint8_t* const* x,
                                      const uint8_t* codes,
                                      int64_t x_at) {
  constexpr int kPairs = (kRows + 1) / 2, kSteps = 8 / F::kParts;
  int32x4_t dots[kPairs][2 * kRegisters];  // of outputs 2i and 2i + 1, each of two rows
  unrolled<kSteps / 2>([&](auto step_index) __attribute__((always_inline)) {
    constexpr int s = decltype(step_index)::value;
    constexpr int step = kPart * kSteps + 2 * s;
    const i32x16 first = F::factors(codes, step), second = F::factors(codes, step + 1);
    uint8x16_t w[2 * kRegisters];
    for (int i = 0; i < kRegisters; ++i) {
      w[2 * i] = (uint8x16_t)vzip1q_s32((int32x4_t)first.r[i], (int32x4_t)second.r[i]);
      w[2 * i + 1] = (uint8x16_t)vzip2q_s32((int32x4_t)first.r[i], (int32x4_t)second.r[i]);
    }
    for (int pair = 0; pair < kPairs; ++pair) {
      const auto eight = [&](int r) {
        return vld1_s8(reinterpret_cast<const int8_t*>(x[r < kRows ? r : kRows - 1] + x_at) +
                       4 * step);
      };
      const int8x16_t inputs = vcombine_s8(eight(2 * pair), eight(2 * pair + 1));
      for (int i = 0; i < 2 * kRegisters; ++i) {
        const int32x4_t before = s == 0 ? vdupq_n_s32(0) : dots[pair][i];
        dots[pair][i] = vusmmlaq_s32(before, w[i], inputs);
      }
    }
  });
  for (int r = 0; r < kRows; ++r) {
    for (int i = 0; i < kRegisters; ++i) {
      const int32x4_t a = dots[r / 2][2 * i], b = dots[r / 2][2 * i + 1];
      sums[r][0].r[i] = (RegInt)(r % 2 == 0 ? vuzp1q_s32(a, b) : vuzp2q_s32(a, b));
    }
  }
}
#endif

// An output takes in a part of a group. sum: Σ (code - kExcess)·a.
template <typename F, int kExcess>
QWEN3_INLINE f32x16 add_group(
    f32x16 acc, i32x16 sum, f32x16 scale, f32x16 offset, const ActivationGroup& group, int part) {
  if constexpr (F::kBias != kExcess) {
    const int32_t inputs = F::kParts == 2 ? group.sum[part] : group.sum[0] + group.sum[1];
    sum = sum - splat_int((F::kBias - kExcess) * inputs);
  }
  acc = fma(to_float(sum), scale * splat(group.scale), acc);
  if constexpr (F::kOffsets) {
    const float inputs =
        F::kParts == 2 ? group.scale * static_cast<float>(group.sum[part]) : group.scaled_sum;
    acc = fma(offset, splat(inputs), acc);
  }
  return acc;
}

// acc += the products of groups [group_begin, group_end) of rows of n_in inputs.
template <typename F, int kRows, int kPanels>
QWEN3_INLINE void block_groups(f32x16 (&acc)[kRows][kPanels],
                               const uint8_t* const* x,
                               const uint8_t* const* heads,
                               const uint8_t* const* codes,
                               int64_t n_in,
                               int64_t group_begin,
                               int64_t group_end) {
  for (int64_t g = group_begin; g < group_end; ++g) {
    const int64_t at = g * code_bytes(F::kCodes);
    unrolled<F::kParts>([&](auto part_index) __attribute__((always_inline)) {
      constexpr int part = decltype(part_index)::value;
      i32x16 sums[kRows][kPanels];
#if defined(__ARM_FEATURE_MATMUL_INT8)
      if constexpr (kRows > 1) {
        group_sums_in_pairs<F, part>(sums, x, codes[0] + at, g * kBlockGroup);
      } else {
        group_sums<F, part>(sums, x, codes, g * kBlockGroup, at);
      }
#else
      group_sums<F, part>(sums, x, codes, g * kBlockGroup, at);
#endif
      for (int p = 0; p < kPanels; ++p) {
        const f32x16 scale = F::scale(heads[p], g, part);
        f32x16 offset = zero();
        if constexpr (F::kOffsets) offset = F::offset(heads[p], g, part);
        for (int r = 0; r < kRows; ++r) {
          const auto* group = reinterpret_cast<const ActivationGroup*>(x[r] + n_in) + g;
          acc[r][p] = add_group<F, F::kExcess>(acc[r][p], sums[r][p], scale, offset, *group, part);
        }
      }
    });
  }
}

// As product_tile.
template <typename F, int kRows, int kPanels>
__attribute__((noinline)) void block_tile(float* c,
                                          const uint8_t* const* x,
                                          const uint8_t* const* heads,
                                          const uint8_t* const* codes,
                                          int64_t n_in,
                                          const Leaf* leaves,
                                          int64_t n_leaves) {
  for (const Leaf* leaf = leaves; leaf < leaves + n_leaves; ++leaf) {
    f32x16 acc[kRows][kPanels];
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kPanels; ++p) acc[r][p] = zero();
    }
    block_groups<F>(acc, x, heads, codes, n_in, leaf->begin / kBlockGroup, leaf->end / kBlockGroup);
    c = merge_and_store(acc, c, leaf->n_merges);
  }
}

template <typename F, int kPanels, int kRows = kBlockRows>
QWEN3_INLINE void block_rows(int64_t rows,
                             float* c,
                             const uint8_t* const* x,
                             const uint8_t* const* heads,
                             const uint8_t* const* codes,
                             int64_t n_in,
                             const LeafList& leaves) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      block_rows<F, kPanels, kRows - 1>(rows, c, x, heads, codes, n_in, leaves);
      return;
    }
  }
  block_tile<F, kRows, kPanels>(c, x, heads, codes, n_in, leaves.leaves, leaves.n);
}

// All rows times kPanels panels.
template <Blocks kBlocks, int kPanels>
void block_panels(const LinearArgs& args, int64_t row_begin, int64_t row_end, int64_t panel) {
  using F = BlockFormat<kBlocks>;
  const int64_t panel_bytes = block_panel_bytes(F::kLayout, args.n_in);
  const int64_t heads_bytes = head_region(F::kLayout, args.n_in);
  const uint8_t* heads[2][kPanels];
  const uint8_t* codes[2][kPanels];
  const int n_matrices = args.w_up != nullptr ? 2 : 1;
  for (int m = 0; m < n_matrices; ++m) {
    for (int p = 0; p < kPanels; ++p) {
      heads[m][p] =
          static_cast<const uint8_t*>(m == 0 ? args.w : args.w_up) + (panel + p) * panel_bytes;
      codes[m][p] = heads[m][p] + heads_bytes;
    }
  }
  const LeafList leaves(args);
  const int64_t n_rows = row_end - row_begin;
  const int64_t n_tiles = (n_rows + kBlockRows - 1) / kBlockRows;
  for (int64_t tile = 0; tile < n_tiles; ++tile) {
    const int64_t first = row_begin + n_rows * tile / n_tiles;
    const int64_t count = row_begin + n_rows * (tile + 1) / n_tiles - first;
    const uint8_t* x[kBlockRows];
    for (int64_t r = 0; r < count; ++r) {
      x[r] = static_cast<const uint8_t*>(args.x) + (first + r) * args.x_stride;
    }
    // The second product, of those without leaves, lies where no sum of the first does.
    alignas(64) float c[kMaxSums][kBlockRows * kPanels * kPanel];
    for (int m = 0; m < n_matrices; ++m) {
      block_rows<F, kPanels>(count, c[m], x, heads[m], codes[m], args.n_in, leaves);
    }
    write_tile<F32Product, kPanels>(
        args, first, count, panel, c[0], n_matrices == 2 ? c[1] : nullptr);
  }
}

template <Blocks kBlocks>
void block_linear(const LinearArgs& args,
                  int64_t row_begin,
                  int64_t row_end,
                  int64_t panel_begin,
                  int64_t panel_end) {
  int64_t panel = panel_begin;
  for (; panel + kBlockPanels <= panel_end; panel += kBlockPanels) {
    block_panels<kBlocks, kBlockPanels>(args, row_begin, row_end, panel);
  }
  for (; panel < panel_end; ++panel) block_panels<kBlocks, 1>(args, row_begin, row_end, panel);
}

// ---- activations --------------------------------------------------------------------------------

// Sixteen integers of -127 to 127 as bytes; returns their sum. (Larger ones come of what is not finite: then neither
// counts.)
QWEN3_INLINE int32_t store_bytes(uint8_t* out, i32x16 q) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8((__m512i)q.r[0]));
  return _mm512_reduce_add_epi32((__m512i)q.r[0]);
#else
  alignas(64) int32_t lane[16];
  store_int(lane, q);
  int32_t total = 0;
  for (int i = 0; i < 16; ++i) {
    total += static_cast<int8_t>(lane[i]);
    out[i] = static_cast<uint8_t>(lane[i]);
  }
  return total;
#endif
}

QWEN3_INLINE float sum_in_any_order(f32x16 x) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)x.r[0]);
#else
  return sum(x);
#endif
}

// A row of floats as activation_row_bytes(n_in) says. n is a multiple of 32. Rounded to nearest, ties
// to even. What is NaN or infinite makes the scale of its 32 NaN.
void quantise_row(uint8_t* out, const float* x, int64_t n) {
  auto* groups = reinterpret_cast<ActivationGroup*>(out + n);
  const f32x16 magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  for (int64_t g = 0; g < n / kBlockGroup; ++g) {
    const f32x16 a = load(x + g * kBlockGroup), b = load(x + g * kBlockGroup + 16);
    const f32x16 largest = max_of(max_of(a, zero() - a), max_of(b, zero() - b));
    const float invalid = sum_in_any_order(a * zero() + b * zero());  // 0, or NaN
    const float maximum = max_lane(largest);
    const float inverse = maximum > 0 ? 127.0f / maximum : 0.0f;
    ActivationGroup group;
    group.scale = maximum / 127.0f + invalid;
    const f32x16 halves[2] = {a, b};
    for (int h = 0; h < 2; ++h) {
      const i32x16 q = as_int(fma(halves[h], splat(inverse), magic)) - as_int(magic);
      group.sum[h] = store_bytes(out + g * kBlockGroup + 16 * h, q);
    }
    group.scaled_sum = group.scale * static_cast<float>(group.sum[0] + group.sum[1]);
    groups[g] = group;
  }
}

}  // namespace
}  // namespace qwen3::cpu
