// Attention over keys and values of 8 bits (kv_cache.h), with the products in integers.
//
// Keys and values are rotated by a Hadamard matrix before they are rounded, so that a channel that is
// always large spreads over the head; queries are rotated alike, which leaves every score as it was,
// and the finished sum is turned back. A query becomes integers of 16 bits, and so do the
// probabilities of 64 keys times their values' scales: next to the rounding of keys and values theirs
// is nothing. Integer sums are exact: a row's bits depend on its own keys, chunk by chunk, and on
// nothing else. Keys that a row does not see get the integer 0, whatever lies there.
#pragma once

#include "kernels/cpu/isa/attention_kernel.h"
#include "kernels/cpu/isa/block_kernel.h"
#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/kv_cache.h"

namespace qwen3::cpu {
namespace {

// ---- rotation -----------------------------------------------------------------------------------

// Lanes whose numbers differ by kDistance, exchanged.
template <int kDistance, int... kLane>
struct Exchange {
  static QWEN3_INLINE Reg of(Reg x) {
    return __builtin_shufflevector(x, x, (kLane ^ kDistance)...);
  }
};
template <int kDistance>
QWEN3_INLINE Reg exchanged(Reg x) {
#if defined(__AVX512F__)
  return Exchange<kDistance, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>::of(x);
#elif defined(__AVX2__)
  return Exchange<kDistance, 0, 1, 2, 3, 4, 5, 6, 7>::of(x);
#else
  return Exchange<kDistance, 0, 1, 2, 3>::of(x);
#endif
}

// Of pairs of lanes kDistance apart the sum, then the difference.
template <int kDistance>
QWEN3_INLINE f32x16 butterfly(f32x16 x) {
  f32x16 out;
  if constexpr (kDistance >= kLanes) {
    constexpr int kFar = kDistance / kLanes;
    for (int i = 0; i < kRegisters; ++i) {
      const Reg other = x.r[i ^ kFar];
      out.r[i] = (i & kFar) == 0 ? x.r[i] + other : other - x.r[i];
    }
  } else {
    Reg sign;
    for (int lane = 0; lane < kLanes; ++lane) sign[lane] = (lane & kDistance) == 0 ? 1.0f : -1.0f;
    for (int i = 0; i < kRegisters; ++i) out.r[i] = exchanged<kDistance>(x.r[i]) + x.r[i] * sign;
  }
  return out;
}

// x [n], with room for a multiple of 16, times the Hadamard matrix of each block of so many numbers
// as the largest power of two that divides n: orthonormal, and its own inverse.
void rotate_head(float* x, int64_t n) {
  const int64_t block = n & -n;
  for (int64_t i = 0; i < n; i += kPanel) {
    f32x16 v = load_first(x + i, n - i < kPanel ? n - i : kPanel);
    if (block > 1) v = butterfly<1>(v);
    if (block > 2) v = butterfly<2>(v);
    if (block > 4) v = butterfly<4>(v);
    if (block > 8) v = butterfly<8>(v);
    store_first(x + i, v, n - i < kPanel ? n - i : kPanel);
  }
  for (int64_t distance = kPanel; distance < block; distance *= 2) {
    for (int64_t i = 0; i < n; i += kPanel) {
      if ((i & distance) != 0) continue;
      const f32x16 a = load(x + i), b = load(x + i + distance);
      store(x + i, a + b);
      store(x + i + distance, a - b);
    }
  }
  const f32x16 factor = splat(1.0f / __builtin_sqrtf(static_cast<float>(block)));
  for (int64_t i = 0; i < n; i += kPanel) {
    const int64_t count = n - i < kPanel ? n - i : kPanel;
    store_first(x + i, load_first(x + i, count) * factor, count);
  }
}

// ---- rounding -----------------------------------------------------------------------------------

// The largest magnitude of n floats (a multiple of 16), NaN if one is NaN or infinite.
struct Range {
  float largest, invalid;  // invalid: 0 or NaN
};
QWEN3_INLINE Range range_of(const float* x, int64_t n) {
  f32x16 largest = zero(), invalid = zero();
  for (int64_t i = 0; i < n; i += kPanel) {
    const f32x16 v = load(x + i);
    largest = max_of(max_of(v, zero() - v), largest);
    invalid = invalid + v * zero();
  }
  return {max_lane(largest), sum(invalid)};
}

// 16 floats times `inverse`, to the nearest integers, ties to even. REQUIRES: |products| < 2^22.
QWEN3_INLINE i32x16 to_nearest(f32x16 x, float inverse) {
  const f32x16 magic = splat(12582912.0f);  // 1.5 * 2^23
  return as_int(fma(x, splat(inverse), magic)) - as_int(magic);
}

// ---- cache --------------------------------------------------------------------------------------

// One head of one token: bytes [padded] = round(rotated / scale) + 128; returns the scale.
QWEN3_INLINE float quantise_head(uint8_t* bytes, const float* from, int64_t head_dim) {
  const int64_t padded = padded_head_dim(head_dim);
  alignas(64) float x[kMaxHeadDim];
  convert_row(x, from, head_dim);
  rotate_head(x, head_dim);
  const Range range = range_of(x, padded);
  const float inverse = range.largest > 0 ? 127.0f / range.largest : 0.0f;
  for (int64_t i = 0; i < padded; i += kPanel) {
    alignas(64) int32_t lane[kPanel];
    store_int(lane, to_nearest(load(x + i), inverse) + splat_int(128));
    for (int64_t j = 0; j < kPanel; ++j) bytes[i + j] = static_cast<uint8_t>(lane[j]);
  }
  return range.largest / 127.0f + range.invalid;
}

void kv_store_q8(const KvArgs& kv, int64_t slot, int64_t kv_head, const float* k, const float* v) {
  const int64_t padded = padded_head_dim(kv.head_dim);
  const int64_t offset = q8_group_offset(slot, kv_head, kv.block_size, kv.n_kv_heads, kv.head_dim);
  const int64_t key = slot % kPanel;  // block_size is a multiple of 16
  alignas(64) uint8_t bytes[kMaxHeadDim];

  uint8_t* const keys = static_cast<uint8_t*>(kv.k) + offset;
  const float k_scale = quantise_head(bytes, k, kv.head_dim);
  for (int64_t i = 0; i < padded; i += 4) {
    __builtin_memcpy(keys + i * kPanel + key * 4, bytes + i, 4);
  }
  __builtin_memcpy(keys + padded * kPanel + key * 4, &k_scale, 4);

  uint8_t* const values = static_cast<uint8_t*>(kv.v) + offset;
  const float v_scale = quantise_head(bytes, v, kv.head_dim);
  for (int64_t i = 0; i < padded; ++i) {
    values[i / kPanel * 256 + key / 4 * 64 + i % kPanel * 4 + key % 4] = bytes[i];
  }
  __builtin_memcpy(values + padded * kPanel + key * 4, &v_scale, 4);
}

// ---- products -----------------------------------------------------------------------------------

// Four integers of 16 bits, in the order in which bytes come out of a dword: first and third, second
// and fourth.
struct FourShorts {
  int32_t even, odd, unused[2];
};

// acc + Σ of four products of an unsigned byte and a short, in every lane.
QWEN3_INLINE i32x16 dot_shorts(i32x16 acc, i32x16 even, i32x16 odd, const FourShorts& q) {
#if defined(__AVX512VNNI__)
  const __m512i first =
      _mm512_dpwssd_epi32((__m512i)acc.r[0], (__m512i)even.r[0], _mm512_set1_epi32(q.even));
  return {{(RegInt)_mm512_dpwssd_epi32(first, (__m512i)odd.r[0], _mm512_set1_epi32(q.odd))}};
#elif defined(__x86_64__)
  const i32x16 q_even = splat_int(q.even), q_odd = splat_int(q.odd);
  for (int i = 0; i < kRegisters; ++i) {
    acc.r[i] += multiply_pairs(even.r[i], q_even.r[i]) + multiply_pairs(odd.r[i], q_odd.r[i]);
  }
  return acc;
#else
  const int32_t a = static_cast<int16_t>(q.even), b = static_cast<int16_t>(q.odd);
  const int32_t c = q.even >> 16, d = q.odd >> 16;
  for (int i = 0; i < kRegisters; ++i) {
    acc.r[i] += (even.r[i] & 0xFFFF) * a + (odd.r[i] & 0xFFFF) * b + (even.r[i] >> 16) * c +
                (odd.r[i] >> 16) * d;
  }
  return acc;
#endif
}

// Rows by panels of 16 outputs whose sums stay in registers. A sum of vpdpwssd waits for the one
// before, so AVX-512 takes four panels at once.
#if defined(__AVX512F__)
constexpr int kQ8Rows = 4, kQ8Panels = 4;
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr int kQ8Rows = 3, kQ8Panels = 1;
#else
constexpr int kQ8Rows = 2, kQ8Panels = 1;
#endif

// sums[r][p] = Σ q[r] · codes: n_segments pieces of n_steps steps of 64 bytes, piece s of panel p at
// codes[s * kPanels + p].
template <int kRows, int kPanels>
QWEN3_INLINE void dot_bytes(i32x16 (*sums)[kPanels],
                            const FourShorts* const* q,
                            const uint8_t* const* codes,
                            int64_t n_segments,
                            int64_t n_steps) {
  i32x16 acc[kRows][kPanels];
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) acc[r][p] = splat_int(0);
  }
  for (int64_t s = 0; s < n_segments; ++s) {
    for (int64_t step = 0; step < n_steps; ++step) {
      for (int p = 0; p < kPanels; ++p) {
        const i32x16 w = load_int(codes[s * kPanels + p] + step * 64);
        const i32x16 even = w & splat_int(0x00FF00FF);
        const i32x16 odd = shift_right(w, 8) & splat_int(0x00FF00FF);
        for (int r = 0; r < kRows; ++r) {
          acc[r][p] = dot_shorts(acc[r][p], even, odd, q[r][s * n_steps + step]);
        }
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kPanels; ++p) sums[r][p] = acc[r][p];
  }
}

// A row of shorts: what a unit is worth, and 128 times their sum, which the codes have too much.
struct ShortsRow {
  float unit;
  int32_t excess;
};
// n floats (a multiple of 16) as shorts of at most `most`.
QWEN3_INLINE ShortsRow to_shorts(FourShorts* out, const float* x, int64_t n, int32_t most) {
  const Range range = range_of(x, n);
  const auto top = static_cast<float>(most);
  const float inverse = range.largest > 0 ? top / range.largest : 0.0f;
  i32x16 totals = splat_int(0);
  for (int64_t i = 0; i < n; i += kPanel) {
    const i32x16 q = to_nearest(load(x + i), inverse);
    totals = totals + q;
    i32x16 pairs;
    for (int r = 0; r < kRegisters; ++r) {
      const auto third_and_fourth = (RegInt)exchanged<2>((Reg)q.r[r]);
      pairs.r[r] = (q.r[r] & 0xFFFF) | third_and_fourth << 16;
    }
    store_int(out + i / 4, pairs);
  }
  alignas(64) uint32_t lane[kPanel];
  store_int(lane, totals);
  uint32_t total = 0;
  for (const uint32_t t : lane) total += t;
  return {range.largest / top + range.invalid, static_cast<int32_t>(128 * total)};
}

using Q8Groups = ChunkGroups<uint8_t>;
QWEN3_INLINE void prefetch_q8_groups(const Q8Groups& groups, int64_t head_dim) {
  for (int64_t g = 0; g < kChunkGroups; ++g) {
    for (int64_t i = 0; i < q8_group_bytes(head_dim); i += 64) {
      __builtin_prefetch(groups.k[g] + i, 0, 2);
      __builtin_prefetch(groups.v[g] + i, 0, 2);
    }
  }
}

// The rows of a call as integers.
struct Q8Queries {
  const FourShorts* of;  // [n_rows, stride]
  int64_t stride;
  ShortsRow rows[kMaxAttentionRows];
};

// Scores of a chunk for kRows rows from `first` on, without AttentionArgs::scale.
template <int kRows>
QWEN3_INLINE void q8_scores(float (*scores)[kAttentionChunk],
                            const Q8Queries& queries,
                            int64_t first,
                            const Q8Groups& groups,
                            int64_t padded) {
  const FourShorts* q[kRows];
  for (int r = 0; r < kRows; ++r) q[r] = queries.of + (first + r) * queries.stride;
  for (int64_t g = 0; g < kChunkGroups; g += kQ8Panels) {
    i32x16 sums[kRows][kQ8Panels];
    dot_bytes<kRows, kQ8Panels>(sums, q, groups.k + g, 1, padded / 4);
    for (int p = 0; p < kQ8Panels; ++p) {
      const f32x16 scale = load(reinterpret_cast<const float*>(groups.k[g + p] + padded * kPanel));
      for (int r = 0; r < kRows; ++r) {
        const ShortsRow& row = queries.rows[first + r];
        const f32x16 sum = to_float(sums[r][p] - splat_int(row.excess));
        store(scores[r] + (g + p) * kPanel, sum * splat(row.unit) * scale);
      }
    }
  }
}

// p [64] = probabilities times the scales of their values; of keys that the row does not see 0.
QWEN3_INLINE void weigh_probabilities(float* p, const Q8Groups& groups, int64_t padded) {
  for (int64_t g = 0; g < kChunkGroups; ++g) {
    const f32x16 scale = load(reinterpret_cast<const float*>(groups.v[g] + padded * kPanel));
    const f32x16 own = load(p + g * kPanel);
    store(p + g * kPanel, select_less(zero(), own, own * scale, zero()));
  }
}

// The states of the rows that `visible` does not leave out += the values of a chunk.
template <int kRows, int kPanels>
QWEN3_INLINE void q8_values_panels(float* const* out,
                                   const Visible* visible,
                                   const FourShorts* const* p,
                                   const ShortsRow* rows,
                                   const Q8Groups& groups,
                                   int64_t panel) {
  const uint8_t* codes[kChunkGroups * kPanels];
  for (int64_t g = 0; g < kChunkGroups; ++g) {
    for (int64_t i = 0; i < kPanels; ++i) codes[g * kPanels + i] = groups.v[g] + (panel + i) * 256;
  }
  i32x16 sums[kRows][kPanels];
  dot_bytes<kRows, kPanels>(sums, p, codes, kChunkGroups, 4);
  for (int r = 0; r < kRows; ++r) {
    if (visible[r].none()) continue;
    for (int i = 0; i < kPanels; ++i) {
      float* const to = out[r] + (panel + i) * kPanel;
      const f32x16 sum = to_float(sums[r][i] - splat_int(rows[r].excess));
      store(to, fma(sum, splat(rows[r].unit), load(to)));
    }
  }
}

template <int kRows>
__attribute__((noinline)) void q8_tile(const AttentionArgs& args,
                                       const Q8Queries& queries,
                                       int64_t first,
                                       const Visible* visible,
                                       const Q8Groups& groups) {
  const int64_t head_dim = args.kv.head_dim;
  const int64_t padded = padded_head_dim(head_dim);
  const int64_t stride = attention_state_size(head_dim);
  alignas(64) float scores[kRows][kAttentionChunk];
  q8_scores<kRows>(scores, queries, first, groups, padded);
  alignas(64) float probabilities[kAttentionChunk];
  FourShorts shorts[kRows][kAttentionChunk / 4] = {};
  ShortsRow rows[kRows] = {};
  const FourShorts* p[kRows];
  float* out[kRows];
  for (int r = 0; r < kRows; ++r) {
    p[r] = shorts[r];
    out[r] = args.states + (first + r) * stride;
    if (visible[r].none()) continue;
    softmax_chunk(
        probabilities, scores[r], view_state(out[r], head_dim), padded, visible[r], args.scale);
    weigh_probabilities(probabilities, groups, padded);
    rows[r] = to_shorts(shorts[r], probabilities, kAttentionChunk, 32767);
  }
  const int64_t n_panels = padded / kPanel;
  int64_t panel = 0;
  for (; panel + kQ8Panels <= n_panels; panel += kQ8Panels) {
    q8_values_panels<kRows, kQ8Panels>(out, visible, p, rows, groups, panel);
  }
  for (; panel < n_panels; ++panel) {
    q8_values_panels<kRows, 1>(out, visible, p, rows, groups, panel);
  }
}

template <int kRows = kQ8Rows>
QWEN3_INLINE void q8_rows(int64_t rows,
                          const AttentionArgs& args,
                          const Q8Queries& queries,
                          int64_t first,
                          const Visible* visible,
                          const Q8Groups& groups) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return q8_rows<kRows - 1>(rows, args, queries, first, visible, groups);
  }
  q8_tile<kRows>(args, queries, first, visible, groups);
}

// Starts a row's state and makes its query integers. 255 * Σ |q| must not overflow 31 bits.
QWEN3_INLINE ShortsRow start_q8_row(FourShorts* query, const AttentionArgs& args, int64_t r) {
  const int64_t head_dim = args.kv.head_dim;
  const int64_t stride = attention_state_size(head_dim);
  float* const state = args.states + r * stride;
  for (int64_t i = 0; i < stride; i += kPanel) store(state + i, zero());
  *view_state(state, head_dim).maximum = -__builtin_inff();
  const int64_t padded = padded_head_dim(head_dim);
  const int64_t most = (int64_t{1} << 31) / 256 / padded;
  alignas(64) float q[kMaxHeadDim];
  convert_row(q, args.rows[r].q, head_dim);
  rotate_head(q, head_dim);
  return to_shorts(query, q, padded, most < 32767 ? static_cast<int32_t>(most) : 32767);
}

void attend_q8(const AttentionArgs& args, int64_t partition_begin, int64_t partition_end) {
  const int64_t head_dim = args.kv.head_dim;
  auto* const shorts = static_cast<FourShorts*>(args.scratch);
  Q8Queries queries;
  queries.of = shorts;
  queries.stride = padded_head_dim(head_dim) / 4;
  int64_t begin = partition_end;
  int64_t end = partition_begin;
  for (int64_t r = 0; r < args.n_rows; ++r) {
    queries.rows[r] = start_q8_row(shorts + r * queries.stride, args, r);
    begin = args.rows[r].key_begin < begin ? args.rows[r].key_begin : begin;
    end = args.rows[r].key_end > end ? args.rows[r].key_end : end;
  }
  begin = begin > partition_begin ? begin : partition_begin;
  end = end < partition_end ? end : partition_end;
  if (begin >= end) return;
  int64_t chunk = begin / kAttentionChunk * kAttentionChunk;
  Q8Groups next = find_groups<uint8_t, q8_group_offset>(args, chunk, begin, end);
  prefetch_q8_groups(next, head_dim);
  for (; chunk < end; chunk += kAttentionChunk) {
    const Q8Groups groups = next;
    if (chunk + kAttentionChunk < end) {
      next = find_groups<uint8_t, q8_group_offset>(args, chunk + kAttentionChunk, begin, end);
      prefetch_q8_groups(next, head_dim);
    }
    const int64_t n_tiles = (args.n_rows + kQ8Rows - 1) / kQ8Rows;
    for (int64_t tile = 0; tile < n_tiles; ++tile) {
      const int64_t first = args.n_rows * tile / n_tiles;
      const int64_t rows = args.n_rows * (tile + 1) / n_tiles - first;
      Visible visible[kQ8Rows];
      bool any = false;
      for (int64_t r = 0; r < rows; ++r) {
        visible[r] = visible_keys(args.rows[first + r], chunk, chunk + kAttentionChunk);
        if (!visible[r].none()) any = true;
      }
      if (any) q8_rows(rows, args, queries, first, visible, groups);
    }
  }
}

}  // namespace
}  // namespace qwen3::cpu
