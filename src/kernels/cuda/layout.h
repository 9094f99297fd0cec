// How weights, keys and values lie in the card's memory. Host and device code agree by this file.
//
// Weights (Layout::fragments): tiles of 16 rows by 16 columns, each 512 bytes in the order in which the
// 32 lanes of a warp hold operand A of `mma.m16n8k16`: lane l has 16 bytes, the row pair (g, g + 8)
// and the column pairs (2c, 2c + 1), (2c + 8, 2c + 9) with g = l / 4, c = l % 4. The tiles of 16 rows
// follow each other along the columns, so that what a warp reads is one contiguous stretch.
// Rows and columns are padded to 16 with zeros.
//
// The order of a sum belongs to the weight, never to the batch: the columns are cut into n_segments()
// equal pieces; each is one chain of mma steps from zero, columns ascending, and the pieces are added
// as a balanced tree. Whatever kernel runs, with one row or a thousand, computes exactly that.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define QWEN3_HD __host__ __device__
#else
#define QWEN3_HD
#endif

namespace qwen3::cuda {

enum class Layout : int32_t {
  rows,       // as files have them: float32, or columns that are no multiple of 16
  fragments,  // bfloat16
};

constexpr int kTile = 16;
constexpr int kTileBytes = 512;

QWEN3_HD constexpr int64_t ceil_div_of(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of a matrix in fragments.
QWEN3_HD constexpr int64_t row_tiles(int64_t n_out) { return ceil_div_of(n_out, kTile); }
QWEN3_HD constexpr int64_t column_tiles(int64_t n_in) { return n_in / kTile; }

// One, where 132 multiprocessors have work enough with a single row of activations; else up to four, none
// shorter than 256 columns, all of them multiples of 64. With many rows each segment costs registers or time.
QWEN3_HD constexpr int n_segments(int64_t n_out, int64_t n_in) {
  const int64_t tiles = column_tiles(n_in);
  int s = 1;
  while (s < 4 && row_tiles(n_out) * s < 256 && tiles % (8 * s) == 0 && tiles / (2 * s) >= 16)
    s *= 2;
  return s;
}

// Element of a tile in row r and column k.
QWEN3_HD constexpr int fragment_index(int r, int k) {
  const int lane = r % 8 * 4 + k % 8 / 2;
  return lane * 8 + (k / 8 * 2 + r / 8) * 2 + k % 2;
}

// Keys and values, bfloat16: blocks of block_size tokens hold, for each kv head, block_size / 16 groups
// of 16 keys, each padded_head_dim() · 16 elements in the order of operand B of the same instruction.
//   K group: [2 tiles of 8 keys][head_dim / 32][lane][8]: lane has key lane / 4 and, of 32 dimensions,
//            the pairs that the two steps over them want
//   V group: [head_dim / 16][lane][8]: lane has the dimensions lane / 4 and lane / 4 + 8 of the tile and
//            four keys of each
constexpr int kKeyGroup = 16;
constexpr int kMaxHeadDim = 128;
// Keys are attended in units of 128: a softmax of their own, merged in ascending order.
constexpr int kAttentionUnit = 128;

// A sequence with many rows is attended with 128 rows at a time: positions times query heads of a group.
constexpr int kTileRows = 128;
QWEN3_HD constexpr int attention_tiles(int n_tokens, int group) {
  return (n_tokens * group + kTileRows - 1) / kTileRows;
}

QWEN3_HD constexpr int64_t padded_head_dim(int64_t head_dim) { return (head_dim + 31) / 32 * 32; }

QWEN3_HD constexpr int k_index(int key, int d, int head_dim) {
  const int step = d % 32 / 16, pair = d % 8 / 2, high = d % 16 / 8;
  const int lane = key % 8 * 4 + pair;
  return (key / 8 * (head_dim / 32) + d / 32) * 256 + lane * 8 + step * 4 + high * 2 + d % 2;
}
QWEN3_HD constexpr int v_index(int key, int d) {
  const int lane = d % 8 * 4 + key % 8 / 2;
  return d / 16 * 256 + lane * 8 + d % 16 / 8 * 4 + key / 8 * 2 + key % 2;
}

}  // namespace qwen3::cuda
