// The tile instructions of AMX as functions that do what Intel's manual says of them (denormals apart), in
// place of the intrinsics: for programs of their own that walk the kernels where there is no AMX. To be
// included before the kernels.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/isa/simd.h"
#include "tensor/dtype.h"

namespace {

struct Tile {
  uint8_t bytes[16][64];
};
Tile g_tiles[8];
uint8_t g_rows[8];
uint16_t g_row_bytes[8];

void model_loadconfig(const void* config) {
  std::memcpy(g_row_bytes, static_cast<const uint8_t*>(config) + 16, sizeof g_row_bytes);
  std::memcpy(g_rows, static_cast<const uint8_t*>(config) + 48, sizeof g_rows);
}
void model_release() {
  std::memset(g_rows, 0, sizeof g_rows);
  std::memset(g_row_bytes, 0, sizeof g_row_bytes);
}
void model_zero(int tile) { std::memset(&g_tiles[tile], 0, sizeof(Tile)); }
void model_loadd(int tile, const void* from, int64_t stride) {
  model_zero(tile);
  for (int r = 0; r < g_rows[tile]; ++r) {
    std::memcpy(
        g_tiles[tile].bytes[r], static_cast<const uint8_t*>(from) + r * stride, g_row_bytes[tile]);
  }
}
void model_stored(int tile, void* to, int64_t stride) {
  for (int r = 0; r < g_rows[tile]; ++r) {
    std::memcpy(static_cast<uint8_t*>(to) + r * stride, g_tiles[tile].bytes[r], g_row_bytes[tile]);
  }
}
template <typename T>
T element(int tile, int row, int column) {
  T value;
  std::memcpy(&value, g_tiles[tile].bytes[row] + column * static_cast<int>(sizeof(T)), sizeof(T));
  return value;
}
[[maybe_unused]] void model_dpbf16ps(int sums, int a, int b) {
  const auto number = [](int tile, int row, int column) {
    return qwen3::bf16_to_f32(element<uint16_t>(tile, row, column));
  };
  for (int m = 0; m < g_rows[sums]; ++m) {
    for (int n = 0; n < 16; ++n) {
      float even = 0, odd = 0;
      for (int k = 0; k < 16; ++k) {
        even = std::fma(number(a, m, 2 * k), number(b, k, 2 * n), even);
        odd = std::fma(number(a, m, 2 * k + 1), number(b, k, 2 * n + 1), odd);
      }
      const float sum = element<float>(sums, m, n) + (even + odd);
      std::memcpy(g_tiles[sums].bytes[m] + 4 * n, &sum, 4);
    }
  }
}

// Bytes A of the activations' tile, signed, times bytes B of the codes'.
template <typename B>
void model_dp_bytes(int sums, int a, int b) {
  for (int m = 0; m < g_rows[sums]; ++m) {
    for (int n = 0; n < 16; ++n) {
      int32_t sum = element<int32_t>(sums, m, n);
      for (int k = 0; k < g_row_bytes[a]; ++k) {
        sum += element<int8_t>(a, m, k) * element<B>(b, k / 4, 4 * n + k % 4);
      }
      std::memcpy(g_tiles[sums].bytes[m] + 4 * n, &sum, 4);
    }
  }
}

}  // namespace

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#undef _tile_dpbsud
#define _tile_loadconfig model_loadconfig
#define _tile_release model_release
#define _tile_zero model_zero
#define _tile_loadd model_loadd
#define _tile_stored model_stored
#define _tile_dpbf16ps model_dpbf16ps
#define _tile_dpbssd model_dp_bytes<int8_t>
#define _tile_dpbsud model_dp_bytes<uint8_t>
