// Quantised weights as the card keeps them, seen without a card: what the device would read of each element.
#include "kernels/cuda/codes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "support/random_blocks.h"
#include "tensor/blocks.h"

namespace qwen3::cuda {
namespace {

float element(const std::byte* matrix, Coding coding, int64_t row, int64_t column, int64_t n_in) {
  const int64_t unit = row / kTile * (n_in / kUnit) + column / kUnit;
  const auto* const bytes =
      reinterpret_cast<const uint8_t*>(matrix) + unit * 2 * tile_bytes(coding);
  const int r = static_cast<int>(row % kTile), k = static_cast<int>(column % kUnit);
  const int at = fragment_index(r, k % kTile), lane = at / 8, number = at % 8, half = k / kTile;
  int code = bytes[lane * 16 + half * 8 + number];
  if (coding == Coding::int4) {
    uint32_t word;
    std::memcpy(&word, bytes + lane * 8 + half * 4, sizeof word);
    code = static_cast<int>(word >> (4 * number) & 15);
  }
  float scales[2];
  std::memcpy(scales, bytes + scales_at(coding) + r * 8, sizeof scales);
  return code_value(coding, code, scales[0], scales[1], half);
}

TEST(Codes, AreTheNumbersOfTheBlocks) {
  int n_types = 0;
  for (int t = 0; t < kWeightTypes; ++t) {
    const auto type = static_cast<WeightType>(t);
    const Coding coding = coding_of(type);
    if (coding == Coding::none) continue;
    ++n_types;
    const int64_t n_out = 37, n_in = 3 * block_of(type).elements;
    const std::vector<std::byte> blocks = test::random_blocks(type, n_out * n_in, 9);
    std::vector<float> numbers(static_cast<size_t>(n_out * n_in));
    widen(numbers.data(), type, blocks.data(), n_out * n_in);
    std::vector<std::byte> packed(static_cast<size_t>(coded_bytes(coding, n_out, n_in)),
                                  std::byte{0xFF});
    // In two calls, as threads of the loader make them.
    pack_codes(packed.data(), type, blocks.data(), 16, n_in);
    pack_codes(packed.data() + coded_bytes(coding, 16, n_in),
               type,
               blocks.data() + 16 * row_bytes(type, n_in),
               n_out - 16,
               n_in);
    for (int64_t row = 0; row < 48; ++row) {
      for (int64_t column = 0; column < n_in; ++column) {
        const float got = element(packed.data(), coding, row, column, n_in);
        const float wanted = row < n_out ? numbers[static_cast<size_t>(row * n_in + column)] : 0;
        // Four bits: the offset less 16 scales is rounded where it is no float32 (layout.h).
        const float off = coding == Coding::int4 ? 1e-6f * std::abs(wanted) + 2e-8f : 0;
        ASSERT_NEAR(got, wanted, off) << weight_type_name(type) << " " << row << " " << column;
      }
    }
  }
  EXPECT_EQ(n_types, 13);
}

}  // namespace
}  // namespace qwen3::cuda
