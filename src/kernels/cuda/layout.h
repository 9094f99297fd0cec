// How weights, keys and values lie in the card's memory. Host and device code agree by this file.
//
// Weights (Layout::fragments): tiles of 16 rows by 16 columns, each 512 bytes in the order in which the
// 32 lanes of a warp hold operand A of `mma.m16n8k16`: lane l has 16 bytes, the row pair (g, g + 8)
// and the column pairs (2c, 2c + 1), (2c + 8, 2c + 9) with g = l / 4, c = l % 4. The tiles of 16 rows
// follow each other along the columns, so that what a warp reads is one contiguous stretch.
// Rows and columns are padded to 16 with zeros.
//
// Weights of 4 or 8 bits (Layout::codes): the same tiles, two side by side make a unit of 32 columns:
//   the codes    lane l has the 8 elements of the first tile, then those of the second, in the order above: a
//                byte each, or 4 bits each, place_of_4_bits() from the lowest
//   the scales   for each of the 16 rows two float32; with 4 bits two bfloat16
// With 4 bits a pair of codes in a word, where it stands, is a pair of bfloat16 too: bits 0 to 3 are code · 2^-133, bits 4 to 7
// code · 2^-129. Rows 0 to 7 have theirs in the former, 8 to 15 in the latter; four_bit_scale() takes that out, and 2^8
// more, which products get back in the end (scale_of_sums): so a scale up to 4 is a finite bfloat16.
//
// A unit stands for bfloat16 numbers: code_value() rounded. What multiplies them sees nothing else, so that
// a matrix in codes gives the bits of the matrix of those numbers; an embedding is looked up unrounded.
//
// The order of a sum belongs to the weight, never to the batch: the columns are cut into n_segments()
// equal pieces; each is one chain of mma steps from zero, columns ascending, and the pieces are added
// as a balanced tree. Whatever kernel runs, with one row or a thousand, computes exactly that. Ranks that
// share a matrix cut it as it is cut whole, each its part (pieces_of()).
#pragma once

#include <cmath>
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
  codes,      // 4 or 8 bits
};

// What a code and the two scales (a, b) of its row and unit stand for.
enum class Coding : int32_t {
  none,         // bfloat16 in fragments
  int4,         // a code + b, bfloat16 both
  int8,         // a code + b
  int8_halves,  // s (code - 32), where s is a in the first tile and b in the second
  e4m3,         // a e4m3(code)
};

constexpr int kTile = 16;
constexpr int kTileBytes = 512;
constexpr int kUnit = 2 * kTile;  // columns

// Of a tile, its share of the unit's scales included.
QWEN3_HD constexpr int tile_bytes(Coding coding) {
  return coding == Coding::none ? kTileBytes : coding == Coding::int4 ? 160 : 320;
}
// Where among a lane's eight of a tile element `i` stands: pairs are a half word apart, as they go into registers.
QWEN3_HD constexpr int place_of_4_bits(int i) { return i / 2 + 4 * (i % 2); }
// What is stored of scale and offset, and what sums are multiplied with.
constexpr float kFourBitOffset = 0x1p-8f, kMaxFourBitScale = 4;
QWEN3_HD constexpr float four_bit_scale(int row) { return row < 8 ? 0x1p125f : 0x1p121f; }
QWEN3_HD constexpr float scale_of_sums(Coding coding) {
  return coding == Coding::int4 ? 1 / kFourBitOffset : 1;
}
// Where in a unit the scales begin.
QWEN3_HD constexpr int scales_at(Coding coding) { return coding == Coding::int4 ? 256 : 512; }

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

// A sum that ranks may share is cut into two at least, where pieces stay multiples of 64.
constexpr int kSharedPieces = 2;
QWEN3_HD constexpr int n_shared_segments(int64_t n_out, int64_t n_in) {
  int s = n_segments(n_out, n_in);
  while (s < kSharedPieces && column_tiles(n_in) % (8 * s) == 0) s *= 2;
  return s;
}

// Element of a tile in row r and column k.
QWEN3_HD constexpr int fragment_index(int r, int k) {
  const int lane = r % 8 * 4 + k % 8 / 2;
  return lane * 8 + (k / 8 * 2 + r / 8) * 2 + k % 2;
}

// The number before it is rounded to bfloat16; `half` is the tile of the unit.
QWEN3_HD inline float code_value(Coding coding, int code, float a, float b, int half) {
  const auto number = static_cast<float>(code);
  if (coding == Coding::int4 || coding == Coding::int8) return fmaf(a, number, b);
  if (coding == Coding::int8_halves) return (half == 0 ? a : b) * (number - 32);
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  const float e4m3 = exponent == 0 ? ldexpf(static_cast<float>(mantissa), -9)
                                   : ldexpf(static_cast<float>(8 + mantissa), exponent - 10);
  return a * ((code & 0x80) != 0 ? -e4m3 : e4m3);
}

// Keys and values, bfloat16: blocks of block_size tokens hold, for each kv head, block_size / 16 groups of 16
// keys, each padded_head_dim() · 16 elements: blocks of eight rows by 16 bytes, 128 bytes in one piece, as
// the matrix instructions of warpgroups take them, and those of warps too: word l of a block is lane l's.
//   K group: [2][head_dim / 8][8 keys][8 dimensions]
//   V group: [head_dim / 8][2][8 dimensions][8 keys]
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
  return (key / 8 * (head_dim / 8) + d / 8) * 64 + key % 8 * 8 + d % 8;
}
QWEN3_HD constexpr int v_index(int key, int d) {
  return (d / 8 * 2 + key / 8) * 64 + d % 8 * 8 + key % 8;
}

}  // namespace qwen3::cuda
