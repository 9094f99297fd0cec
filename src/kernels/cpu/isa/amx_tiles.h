// What kernels in AMX tiles share: a tile is 16 rows of 64 bytes, fewer or shorter where the
// configuration says so.
#pragma once

#include "kernels/cpu/isa/simd.h"

namespace qwen3::cpu {
namespace {

constexpr int64_t kAmxRows = 16;   // of activations in a tile, at most
constexpr int64_t kAmxSums = 256;  // sums in a tile, 16 x 16
constexpr int64_t kAmxLine = 64;   // bytes in a row of a tile, at most

// GCC's tile loads, and that of a configuration, do not say that they read memory (or claim to read eight
// bytes only). To stand between writing it and loading it.
QWEN3_INLINE void before_tile_loads(const void* memory) {
  asm volatile("" : : "r"(memory) : "memory");
}

// What LDTILECFG reads. Loading takes 80 ns, a task some microseconds: each task configures for itself
// and gives the tiles back, so that no thread sleeps or is switched with 8 KiB of state that nobody needs.
struct alignas(64) AmxConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  QWEN3_INLINE void set(int tile, int64_t n_rows, int64_t bytes) {
    rows[tile] = static_cast<uint8_t>(n_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
  QWEN3_INLINE void load() const {
    before_tile_loads(this);
    _tile_loadconfig(this);
  }
};

}  // namespace
}  // namespace qwen3::cpu
