// Attention of up to 24 rows (heads of one kv group, tokens of one sequence) over one partition of
// the keys, 64 keys at a time, with the softmax computed online.
//
// Chunks and partitions are counted from position 0 of the sequence and a row's arithmetic looks
// only at the row's own visible keys: a row has the same bits in a decode step, in any prefill
// chunk and beside any other rows. Keys a row does not see are never multiplied, not even by zero:
// what lies there may be NaN from a block's former life.
//
// Scores stay in float32; for bfloat16 with dot products the probabilities are rounded to bfloat16
// before they meet the values and before they are summed.
#pragma once

#include "kernels/cpu/isa/dot_tile.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/kv_cache.h"

namespace qwen3::cpu {
namespace {

constexpr int64_t kChunkGroups = kAttentionChunk / kPanel;
constexpr int64_t kRowsAhead = kAheadRows < kTileRows ? kAheadRows : kTileRows;

// A row's state, see attention_state_size.
struct StateView {
  float* out;
  float* sums;
  float* maximum;
};
QWEN3_INLINE StateView view_state(float* state, int64_t head_dim) {
  const int64_t padded = padded_head_dim(head_dim);
  return {state, state + padded, state + padded + kPanel};
}

QWEN3_INLINE void scale_in_place(float* x, int64_t n, f32x16 factor) {
  for (int64_t i = 0; i < n; i += kPanel) store(x + i, load(x + i) * factor);
}

// Elements [0, n) of x as X, zeros up to a multiple of 16.
QWEN3_INLINE void convert_row(float* out, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += kPanel) {
    store(out + i, load_first(x + i, n - i < kPanel ? n - i : kPanel));
  }
}
QWEN3_INLINE void convert_row(uint16_t* out, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += kPanel) {
    store_bf16(out + i, load_first(x + i, n - i < kPanel ? n - i : kPanel));
  }
}

// Visible keys of a row inside one chunk, counted from the chunk's first key.
struct Visible {
  int64_t begin, end;
  bool none() const { return begin >= end; }
  bool all() const { return begin == 0 && end == kAttentionChunk; }
};
QWEN3_INLINE Visible visible_keys(const AttentionRow& row, int64_t chunk, int64_t chunk_end) {
  const int64_t begin = row.key_begin > chunk ? row.key_begin - chunk : 0;
  const int64_t end = row.key_end < chunk_end ? row.key_end - chunk : chunk_end - chunk;
  return {begin, end};
}

// Stores 16 probabilities as X and returns what was stored: the sum must be that of the weights
// that the values really get, so that the rounded ones still add up to one.
QWEN3_INLINE f32x16 store_probabilities(float* out, f32x16 p) {
  store(out, p);
  return p;
}
#if defined(__AVX512BF16__)
QWEN3_INLINE f32x16 store_probabilities(uint16_t* out, f32x16 p) {
  store_bf16(out, p);
  const __m256i bits = *reinterpret_cast<const __m256i_u*>(out);
  return {{(Reg)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)}};
}
#endif

// Turns 64 raw scores into probabilities relative to the running maximum and brings the row's state
// to the new maximum. Keys outside `visible` get probability 0.
template <typename X>
QWEN3_INLINE void softmax_chunk(X* probabilities,
                                const float* scores,
                                StateView state,
                                int64_t padded,
                                Visible visible,
                                float scale) {
  f32x16 s[kChunkGroups];
  for (int64_t g = 0; g < kChunkGroups; ++g) s[g] = load(scores + g * kPanel) * splat(scale);
  if (!visible.all()) {
    alignas(64) static constexpr float kIota[16] = {
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const f32x16 hidden = splat(-__builtin_inff());
    for (int64_t g = 0; g < kChunkGroups; ++g) {
      const f32x16 key = load(kIota) + splat(static_cast<float>(g * kPanel));
      s[g] = select_less(key, splat(static_cast<float>(visible.end)), s[g], hidden);
      s[g] = select_less(key, splat(static_cast<float>(visible.begin)), hidden, s[g]);
    }
  }
  f32x16 top = s[0];
  for (int64_t g = 1; g < kChunkGroups; ++g) top = max_of(top, s[g]);
  const float chunk_maximum = max_lane(top);
  const float old_maximum = state.maximum[0];
  const float maximum = chunk_maximum > old_maximum ? chunk_maximum : old_maximum;

  f32x16 sums = load(state.sums);
  if (maximum != old_maximum) {  // otherwise the factor is exactly 1
    const f32x16 factor = exp(splat(old_maximum - maximum));
    sums = sums * factor;
    scale_in_place(state.out, padded, factor);
    state.maximum[0] = maximum;
  }
  for (int64_t g = 0; g < kChunkGroups; ++g) {
    sums = sums + store_probabilities(probabilities + g * kPanel, exp(s[g] - splat(maximum)));
  }
  store(state.sums, sums);
}

// out += p[0 .. n) · V for the rows of a tile; `groups` are the V groups, n counts from the first.
// `next` are the groups to ask for meanwhile (n is then a multiple of 16).
template <typename P, int kPanels, Ahead kAhead>
QWEN3_INLINE void add_values_panels(int64_t rows,
                                    float* out,
                                    int64_t out_stride,
                                    const typename P::X* const* p,
                                    const typename P::W* const* groups,
                                    const typename P::W* const* next,
                                    int64_t n,
                                    int64_t panel) {
  using W = typename P::W;
  const W* w[kChunkGroups * kPanels];
  const W* w_next[kChunkGroups * kPanels];
  const int64_t n_groups = (n + kPanel - 1) / kPanel;
  for (int64_t g = 0; g < n_groups; ++g) {
    for (int64_t i = 0; i < kPanels; ++i) {
      const int64_t offset = (panel + i) * kPanel * kPanel;
      w[g * kPanels + i] = groups[g] + offset;
      if constexpr (kAhead == Ahead::next_panels) w_next[g * kPanels + i] = next[g] + offset;
    }
  }
  float* c = out + panel * kPanel;
  const int64_t n_whole = n / kPanel;
  if (n_whole > 0) {
    dot_rows<P, kPanels, kAhead>(rows, c, out_stride, Start::from_c, p, w, n_whole, kPanel, w_next);
  }
  if (n % kPanel != 0) {
    const typename P::X* rest[kTileRows];
    for (int64_t r = 0; r < rows; ++r) rest[r] = p[r] + n_whole * kPanel;
    dot_rows<P, kPanels>(
        rows, c, out_stride, Start::from_c, rest, w + n_whole * kPanels, 1, n % kPanel);
  }
}

template <typename P, Ahead kAhead>
QWEN3_INLINE void add_values(int64_t rows,
                             float* out,
                             int64_t out_stride,
                             const typename P::X* const* p,
                             const typename P::W* const* groups,
                             const typename P::W* const* next,
                             int64_t n,
                             int64_t head_dim) {
  const int64_t n_panels = padded_head_dim(head_dim) / kPanel;
  int64_t panel = 0;
  for (; panel + kTilePanels <= n_panels; panel += kTilePanels) {
    add_values_panels<P, kTilePanels, kAhead>(rows, out, out_stride, p, groups, next, n, panel);
  }
  for (; panel < n_panels; ++panel) {
    add_values_panels<P, 1, kAhead>(rows, out, out_stride, p, groups, next, n, panel);
  }
}

// Where the four groups of a chunk lie. Groups that no row sees (the table may have no block there)
// stand in as the first one that is seen; their scores are masked.
template <typename W>
struct ChunkGroups {
  const W* k[kChunkGroups];
  const W* v[kChunkGroups];
};
template <typename W, auto kGroupOffset = kv_group_offset>
QWEN3_INLINE ChunkGroups<W> find_groups(const AttentionArgs& args,
                                        int64_t chunk,
                                        int64_t begin,
                                        int64_t end) {
  const KvArgs& kv = args.kv;
  const int64_t first = begin > chunk ? (begin - chunk) / kPanel : 0;
  const int64_t last =
      end - chunk < kAttentionChunk ? (end - chunk - 1) / kPanel : kChunkGroups - 1;
  ChunkGroups<W> groups;
  for (int64_t g = 0; g < kChunkGroups; ++g) {
    const int64_t key = chunk + (g < first || g > last ? first : g) * kPanel;
    const int64_t slot =
        args.block_table[key / kv.block_size] * kv.block_size + key % kv.block_size;
    const int64_t offset =
        kGroupOffset(slot, args.kv_head, kv.block_size, kv.n_kv_heads, kv.head_dim);
    groups.k[g] = static_cast<const W*>(kv.k) + offset;
    groups.v[g] = static_cast<const W*>(kv.v) + offset;
  }
  return groups;
}

// Asks for a chunk ahead of its use. Groups are scattered pieces of 4 KiB, so the processor's own
// prefetchers start over on each: without this a decode step reads keys at 14 GB/s of 38. All lines
// at once is right, because the requests queue up in L2. AMD EPYC (Zen 4), 2 cores, 2026-11-24.
template <typename W>
QWEN3_INLINE void prefetch_groups(const ChunkGroups<W>& groups, int64_t head_dim) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(W));
  for (int64_t g = 0; g < kChunkGroups; ++g) {
    for (int64_t i = 0; i < kv_group_size(head_dim); i += kLine) {
      __builtin_prefetch(groups.k[g] + i, 0, 2);
      __builtin_prefetch(groups.v[g] + i, 0, 2);
    }
  }
}

// A tile of rows against one chunk: scores, softmax, values. With kAhead, all rows see the whole
// chunk, and the chunk `next` is asked for meanwhile.
template <typename P, Ahead kAhead>
QWEN3_INLINE void attend_tile(const AttentionArgs& args,
                              int64_t first_row,
                              int64_t rows,
                              const Visible* visible,
                              const typename P::X* queries,
                              int64_t query_stride,
                              const ChunkGroups<typename P::W>& groups,
                              const ChunkGroups<typename P::W>& next) {
  using X = typename P::X;
  const int64_t head_dim = args.kv.head_dim;
  const int64_t padded = padded_head_dim(head_dim);
  const int64_t stride = attention_state_size(head_dim);
  alignas(64) float scores[kTileRows * kAttentionChunk];
  alignas(64) X probabilities[kTileRows * kAttentionChunk];

  const X* q[kTileRows];
  const X* p[kTileRows];
  for (int64_t r = 0; r < rows; ++r) {
    q[r] = queries + (first_row + r) * query_stride;
    p[r] = probabilities + r * kAttentionChunk;
  }
  for (int64_t g = 0; g < kChunkGroups; g += kTilePanels) {
    dot_rows<P, kTilePanels, kAhead>(rows,
                                     scores + g * kPanel,
                                     kAttentionChunk,
                                     Start::zero,
                                     q,
                                     groups.k + g,
                                     1,
                                     padded,
                                     next.k + g);
  }
  int64_t n_common = kChunkGroups;  // leading groups that every row of the tile sees
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t whole = visible[r].begin == 0 ? visible[r].end / kPanel : 0;
    n_common = whole < n_common ? whole : n_common;
    if (visible[r].none()) continue;
    softmax_chunk(probabilities + r * kAttentionChunk,
                  scores + r * kAttentionChunk,
                  view_state(args.states + (first_row + r) * stride, head_dim),
                  padded,
                  visible[r],
                  args.scale);
  }
  // Values of the common groups for all rows together, then each row's own rest. The order of a
  // row's additions is the same however many groups are common.
  if (n_common > 0) {
    float* out = args.states + first_row * stride;
    const int64_t n = n_common * kPanel;
    add_values<P, kAhead>(rows, out, stride, p, groups.v, next.v, n, head_dim);
  }
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t seen = visible[r].begin / kPanel;
    const int64_t group = seen > n_common ? seen : n_common;
    const int64_t n = visible[r].end - group * kPanel;
    if (visible[r].none() || n <= 0) continue;
    float* out = args.states + (first_row + r) * stride;
    const X* rest = p[r] + group * kPanel;
    add_values<P, Ahead::none>(1, out, 0, &rest, groups.v + group, nullptr, n, head_dim);
  }
}

template <typename P>
void attend(const AttentionArgs& args, int64_t partition_begin, int64_t partition_end) {
  using X = typename P::X;
  const int64_t head_dim = args.kv.head_dim;
  const int64_t stride = attention_state_size(head_dim);
  X* queries = static_cast<X*>(args.scratch);
  int64_t begin = partition_end;
  int64_t end = partition_begin;
  for (int64_t r = 0; r < args.n_rows; ++r) {
    const AttentionRow& row = args.rows[r];
    convert_row(queries + r * stride, row.q, head_dim);
    float* state = args.states + r * stride;
    for (int64_t i = 0; i < stride; i += kPanel) store(state + i, zero());
    *view_state(state, head_dim).maximum = -__builtin_inff();
    begin = row.key_begin < begin ? row.key_begin : begin;
    end = row.key_end > end ? row.key_end : end;
  }
  begin = begin > partition_begin ? begin : partition_begin;
  end = end < partition_end ? end : partition_end;

  using W = typename P::W;
  if (begin >= end) return;
  int64_t chunk = begin / kAttentionChunk * kAttentionChunk;
  ChunkGroups<W> next = find_groups<W>(args, chunk, begin, end);
  prefetch_groups(next, head_dim);
  for (; chunk < end; chunk += kAttentionChunk) {
    const ChunkGroups<W> groups = next;
    const bool more = chunk + kAttentionChunk < end;
    if (more) next = find_groups<W>(args, chunk + kAttentionChunk, begin, end);
    // In a decode step all rows are one small tile that sees whole chunks but for the ends.
    const bool ahead = more && args.n_rows <= kRowsAhead && chunk >= args.rows[0].key_begin;
    if (more && !ahead) prefetch_groups(next, head_dim);
    // All rows pass by the chunk's keys and values, 32 KiB at head_dim 128, while those are in L2.
    const int64_t n_tiles = (args.n_rows + kTileRows - 1) / kTileRows;
    for (int64_t tile = 0; tile < n_tiles; ++tile) {
      const int64_t first = args.n_rows * tile / n_tiles;
      const int64_t rows = args.n_rows * (tile + 1) / n_tiles - first;
      Visible visible[kTileRows];
      bool any = false;
      bool all = true;
      for (int64_t r = 0; r < rows; ++r) {
        visible[r] = visible_keys(args.rows[first + r], chunk, chunk + kAttentionChunk);
        if (!visible[r].none()) any = true;
        if (!visible[r].all()) all = false;
      }
      if (ahead && all) {
        attend_tile<P, Ahead::next_panels>(
            args, first, rows, visible, queries, stride, groups, next);
      } else if (any) {
        attend_tile<P, Ahead::none>(args, first, rows, visible, queries, stride, groups, next);
      }
    }
  }
}

void merge_states(float* total, const float* part, int64_t head_dim) {
  const int64_t padded = padded_head_dim(head_dim);
  const StateView a = view_state(total, head_dim);
  const float part_maximum = part[padded + kPanel];
  if (part_maximum == -__builtin_inff()) return;  // it has seen no key
  const float maximum = part_maximum > *a.maximum ? part_maximum : *a.maximum;
  const f32x16 own = exp(splat(*a.maximum - maximum));
  const f32x16 other = exp(splat(part_maximum - maximum));
  for (int64_t i = 0; i < padded + kPanel; i += kPanel) {
    store(total + i, fma(load(part + i), other, load(total + i) * own));
  }
  *a.maximum = maximum;
}

void finish_state(float* out, const float* state, int64_t head_dim) {
  const f32x16 factor = splat(1.0f / sum(load(state + padded_head_dim(head_dim))));
  for (int64_t i = 0; i < head_dim; i += kPanel) {
    store_first(out + i, load(state + i) * factor, head_dim - i < kPanel ? head_dim - i : kPanel);
  }
}

// Element (row, column) of a panel with `columns` columns; see kv_cache.h.
template <typename T>
QWEN3_INLINE int64_t panel_index(int64_t row, int64_t column, int64_t columns) {
  const int64_t panel = row / kPanel * kPanel * columns;
  if constexpr (sizeof(T) == 2) return panel + column / 2 * 32 + row % kPanel * 2 + column % 2;
  return panel + column * kPanel + row % kPanel;
}

template <typename T>
void kv_store(const KvArgs& kv, int64_t slot, int64_t kv_head, const float* k, const float* v) {
  const int64_t padded = padded_head_dim(kv.head_dim);
  const int64_t offset = kv_group_offset(slot, kv_head, kv.block_size, kv.n_kv_heads, kv.head_dim);
  const int64_t key = slot % kPanel;  // block_size is a multiple of 16
  T* k_group = static_cast<T*>(kv.k) + offset;
  T* v_group = static_cast<T*>(kv.v) + offset;
  for (int64_t first = 0; first < padded; first += kPanel) {
    const int64_t n = kv.head_dim - first < kPanel ? kv.head_dim - first : kPanel;
    alignas(64) T k_part[kPanel];
    alignas(64) T v_part[kPanel];
    convert_row(k_part, k + first, n);
    convert_row(v_part, v + first, n);
    for (int64_t i = 0; i < kPanel; ++i) {
      k_group[panel_index<T>(key, first + i, padded)] = k_part[i];
      v_group[panel_index<T>(first + i, key, kPanel)] = v_part[i];
    }
  }
}

}  // namespace
}  // namespace qwen3::cpu
