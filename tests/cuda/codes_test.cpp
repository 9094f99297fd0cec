// Quantised weights as the card keeps them, seen without a card: what the device would read of each element.
#include "kernels/cuda/codes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "support/packed_codes.h"
#include "support/random_blocks.h"
#include "tensor/blocks.h"

namespace qwen3::cuda {
namespace {

// Scale and offset of 4 bits are rounded to bfloat16, of codes around the middle one (layout.h).
float loss_of_4_bits(const CodeScale& of) {
  return 0x1.01p-8f * (8 * std::abs(of.scale) + std::abs(of.offset));
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
    const int group = code_scale_group(type);
    const auto [elements, bytes] = block_of(type);
    std::vector<CodeScale> scales(static_cast<size_t>(n_out * n_in / group));
    for (int64_t at = 0; at < n_out * n_in; at += elements) {
      code_scales(scales.data() + at / group,
                  type,
                  reinterpret_cast<const uint8_t*>(blocks.data()) + at / elements * bytes);
    }
    double signal = 0, noise = 0;
    for (int64_t row = 0; row < 48; ++row) {
      for (int64_t column = 0; column < n_in; ++column) {
        const int64_t at = row * n_in + column;
        const bool exists = row < n_out;
        const float got = test::packed_number(packed.data(), coding, row, column, n_in);
        const float wanted = exists ? numbers[static_cast<size_t>(at)] : 0;
        const float off = exists && coding == Coding::int4
                              ? loss_of_4_bits(scales[static_cast<size_t>(at / group)])
                              : 0;
        ASSERT_NEAR(got, wanted, off) << weight_type_name(type) << " " << row << " " << column;
        signal += wanted * wanted;
        noise += (got - wanted) * (got - wanted);
      }
    }
    // A thousandth of what 4 bits themselves cost, some 0.01 of the square of the numbers.
    EXPECT_LE(noise, 1e-5 * signal) << weight_type_name(type);
  }
  EXPECT_EQ(n_types, 13);
}

}  // namespace
}  // namespace qwen3::cuda
