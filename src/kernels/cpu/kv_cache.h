// How keys and values lie in a paged block of this backend.
//
// A block of block_size tokens holds, for each kv head, block_size / 16 groups of 16 keys. A group
// is in panels like a weight (panels.h), so that dot_tile computes scores and
// weighted sums without any horizontal addition:
//   K group: one panel of 16 keys, columns = head_dim
//            score[key] = Σ_d q[d] · k[key][d]
//   V group: head_dim / 16 panels of 16 dims, columns = 16 keys
//            out[d] += Σ_key p[key] · v[key][d]
//
// bfloat16 (pairs of columns), head_dim 128:
//   K: [64 pairs of d][16 keys][2]               4 KiB, read front to back
//   V: [8 panels][8 pairs of keys][16 dims][2]   4 KiB
// 8 bits: each head of a token, keys and values alike, is rotated by a Hadamard matrix and has one
// scale; its numbers lie as round(rotated / scale) + 128, the scales of the group behind them:
//   K: [head_dim / 4][16 keys][4 of d], [16] float
//   V: [head_dim / 16 panels][4][16 dims][4 keys], [16] float     2 KiB and 64 bytes each
// Number of a group: (block * n_kv_heads + kv_head) * block_size / 16 + key_in_block / 16
// head_dim is padded to a multiple of 16, the padding zeroed as keys are stored.
//
// Functions are static because isa/*.cpp include this header (see isa/simd.h).
#pragma once

#include <cstdint>

namespace qwen3::cpu {

static constexpr int64_t padded_head_dim(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

// Elements of K (or of V) in a group of 16 keys of one head.
static constexpr int64_t kv_group_size(int64_t head_dim) { return 16 * padded_head_dim(head_dim); }

// Elements before the group that holds `slot` (= block * block_size + key in block).
static constexpr int64_t kv_group_offset(
    int64_t slot, int64_t kv_head, int64_t block_size, int64_t n_kv_heads, int64_t head_dim) {
  const int64_t block = slot / block_size;
  const int64_t group = slot % block_size / 16;
  return ((block * n_kv_heads + kv_head) * (block_size / 16) + group) * kv_group_size(head_dim);
}

// The same of 8 bits, in bytes.
static constexpr int64_t q8_group_bytes(int64_t head_dim) { return kv_group_size(head_dim) + 64; }
static constexpr int64_t q8_group_offset(
    int64_t slot, int64_t kv_head, int64_t block_size, int64_t n_kv_heads, int64_t head_dim) {
  return kv_group_offset(slot, kv_head, block_size, n_kv_heads, head_dim) /
         kv_group_size(head_dim) * q8_group_bytes(head_dim);
}
// Of 8 bits: the longest head that kernels hold on their stack, and whose integer sums fit.
constexpr int64_t kMaxHeadDim = 1024;

}  // namespace qwen3::cpu
