// Weights in codes as the card keeps them, read on the host.
#pragma once

#include <cmath>
#include <cstring>

#include "kernels/cuda/layout.h"
#include "tensor/dtype.h"

namespace qwen3::test {

// Element (row, column) of a packed matrix, before it is rounded to bfloat16.
inline float packed_number(
    const std::byte* matrix, cuda::Coding coding, int64_t row, int64_t column, int64_t n_in) {
  const int64_t unit = row / cuda::kTile * (n_in / cuda::kUnit) + column / cuda::kUnit;
  const auto* const bytes =
      reinterpret_cast<const uint8_t*>(matrix) + unit * 2 * cuda::tile_bytes(coding);
  const int r = static_cast<int>(row % cuda::kTile), k = static_cast<int>(column % cuda::kUnit);
  const int at = cuda::fragment_index(r, k % cuda::kTile), lane = at / 8, number = at % 8,
            half = k / cuda::kTile;
  const uint8_t* const scales = bytes + cuda::scales_at(coding);
  if (coding == cuda::Coding::int4) {
    uint32_t word;
    std::memcpy(&word, bytes + lane * 8 + half * 4, sizeof word);
    uint16_t pair[2];
    std::memcpy(pair, scales + static_cast<size_t>(r) * sizeof pair, sizeof pair);
    const int code = static_cast<int>(word >> (4 * cuda::place_of_4_bits(number)) & 15);
    return cuda::code_value(coding,
                            code,
                            bf16_to_f32(pair[0]) / cuda::four_bit_scale(r),
                            bf16_to_f32(pair[1]) / cuda::kFourBitOffset,
                            half);
  }
  float pair[2];
  std::memcpy(pair, scales + static_cast<size_t>(r) * sizeof pair, sizeof pair);
  return cuda::code_value(coding, bytes[lane * 16 + half * 8 + number], pair[0], pair[1], half);
}

}  // namespace qwen3::test
