// Blocks of quantised weights: values that ggml's C code gives for the same bytes, and the edges of
// what counts as finite.
#include "tensor/blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <vector>

#include "support/random_blocks.h"

namespace qwen3 {
namespace {

struct Golden {
  WeightType type;
  std::vector<int> halves_d, halves_m;  // where 0.25 and 0.125 are written
  std::map<int, float> values;
  float sum;
};

// Bytes (37 k + 11) mod 256, scales that are numbers, MXFP4's exponent 127.
std::vector<std::byte> golden_block(const Golden& golden) {
  std::vector<std::byte> block(static_cast<size_t>(block_of(golden.type).bytes));
  for (size_t k = 0; k < block.size(); ++k) block[k] = static_cast<std::byte>(37 * k + 11);
  const auto write = [&](int at, uint16_t bits) {
    std::memcpy(block.data() + at, &bits, sizeof bits);
  };
  for (const int at : golden.halves_d) write(at, 0x3400);
  for (const int at : golden.halves_m) write(at, 0x3000);
  if (golden.type == WeightType::mxfp4) block[0] = std::byte{127};
  return block;
}

const Golden kGoldens[] = {
    {WeightType::q4_0,
     {0},
     {},
     {{0, -.75f}, {1, .5f}, {2, 1.75f}, {3, -1}, {15, -2}, {16, -.75f}, {31, 0}},
     -5.25f},
    {WeightType::q4_1,
     {0},
     {2},
     {{0, 3.875f}, {1, 1.125f}, {2, 2.375f}, {3, 3.625f}, {15, 2.625f}, {16, 2.375f}, {31, 3.125f}},
     65.25f},
    {WeightType::q5_0,
     {0},
     {},
     {{0, 2.25f}, {1, -.5f}, {2, .75f}, {3, -2}, {15, -3}, {16, 3.5f}, {31, .25f}},
     3.75f},
    {WeightType::q5_1,
     {0},
     {2},
     {{0, 4.875f}, {1, 6.125f}, {2, 7.375f}, {3, 4.625f}, {15, 7.625f}, {16, 4.875f}, {31, 1.375f}},
     130.25f},
    {WeightType::q8_0,
     {0},
     {},
     {{0, 21.25f}, {1, 30.5f}, {2, -24.25f}, {3, -15}, {15, -32}, {16, -22.75f}, {31, -12}},
     -44},
    {WeightType::q2_k,
     {80},
     {82},
     {{0, 8.25f},
      {1, 0},
      {2, 2.75f},
      {3, 5.5f},
      {15, 5.5f},
      {16, -.375f},
      {31, -.375f},
      {32, 1.875f},
      {63, 1.625f},
      {64, 2.625f},
      {127, 10.5f},
      {128, 1.875f},
      {255, 1.125f}},
     514.75f},
    {WeightType::q3_k,
     {108},
     {},
     {{0, 20.25f},
      {1, -27},
      {2, 6.75f},
      {3, -13.5f},
      {15, -13.5f},
      {16, -24},
      {31, 16},
      {32, -5.5f},
      {63, 2.5f},
      {64, 8.5f},
      {127, 18},
      {128, .5f},
      {255, 10.5f}},
     239.5f},
    {WeightType::q4_k,
     {0},
     {2},
     {{0, 78.875f},
      {1, -6.375f},
      {2, 32.375f},
      {3, 71.125f},
      {15, 40.125f},
      {16, 78.875f},
      {31, 40.125f},
      {32, 2},
      {63, 10},
      {64, 105.125f},
      {127, 20.25f},
      {128, 105.75f},
      {255, 12.125f}},
     13610},
    {WeightType::q5_k,
     {0},
     {2},
     {{0, 202.875f},
      {1, -6.375f},
      {2, 156.375f},
      {3, 71.125f},
      {15, 40.125f},
      {16, 202.875f},
      {31, 40.125f},
      {32, 28},
      {63, 20},
      {64, 105.125f},
      {127, -.75f},
      {128, 261.75f},
      {255, 27.125f}},
     29054},
    {WeightType::q6_k,
     {208},
     {},
     {{0, -357.75f},
      {1, 424},
      {2, 145.75f},
      {3, -132.5f},
      {15, -79.5f},
      {16, -108},
      {31, -24},
      {32, 57.75f},
      {63, -145},
      {64, -760},
      {127, 375},
      {128, -87.75f},
      {255, -15}},
     1153},
    {WeightType::iq4_nl,
     {0},
     {},
     {{0, -8.75f}, {1, 6.25f}, {2, 28.25f}, {3, -12.25f}, {15, -31.75f}, {16, -8.75f}, {31, .25f}},
     -64.25f},
    {WeightType::iq4_xs,
     {0},
     {},
     {{0, 16.25f},
      {1, -.25f},
      {2, -17.25f},
      {3, 20.75f},
      {15, -22.25f},
      {16, 16.25f},
      {31, 8.75f},
      {32, 113.75f},
      {63, -43.75f},
      {64, 195},
      {127, 49},
      {128, -146.25f},
      {255, -4}},
     -2751.25f},
    {WeightType::mxfp4,
     {},
     {},
     {{0, 0}, {1, 3}, {2, -1}, {3, -6}, {15, -1.5f}, {16, 1.5f}, {31, 3}},
     12.5f},
};

TEST(Blocks, AreWhatGgmlSays) {
  for (const Golden& golden : kGoldens) {
    SCOPED_TRACE(weight_type_name(golden.type));
    const std::vector<std::byte> block = golden_block(golden);
    const auto n = static_cast<size_t>(block_of(golden.type).elements);
    std::vector<float> values(2 * n);
    std::vector<std::byte> two = block;
    two.insert(two.end(), block.begin(), block.end());
    widen(values.data(), golden.type, two.data(), static_cast<int64_t>(2 * n));
    for (const auto& [i, value] : golden.values) {
      EXPECT_EQ(values[static_cast<size_t>(i)], value) << i;
      EXPECT_EQ(values[n + static_cast<size_t>(i)], value) << i;
    }
    EXPECT_EQ(std::accumulate(values.begin(), values.begin() + static_cast<int64_t>(n), 0.0f),
              golden.sum);
    EXPECT_TRUE(all_finite(golden.type, two.data(), static_cast<int64_t>(2 * n)));
  }
}

TEST(Blocks, ThatHoldNoNumberAreSeen) {
  for (const Golden& golden : kGoldens) {
    SCOPED_TRACE(weight_type_name(golden.type));
    std::vector<int> halves = golden.halves_d;
    halves.insert(halves.end(), golden.halves_m.begin(), golden.halves_m.end());
    for (const int at : halves) {
      for (const uint16_t bits : {0x7C00, 0xFC00, 0x7E01}) {
        std::vector<std::byte> block = golden_block(golden);
        std::memcpy(block.data() + at, &bits, sizeof bits);
        EXPECT_FALSE(all_finite(golden.type, block.data(), block_of(golden.type).elements)) << at;
      }
    }
  }
  std::vector<std::byte> block = golden_block({WeightType::mxfp4, {}, {}, {}, 0});
  block[0] = std::byte{253};
  EXPECT_FALSE(all_finite(WeightType::mxfp4, block.data(), 32));
}

struct Affine {
  float scale, offset;
  int32_t zero;
};

template <typename Head>
std::vector<std::byte> block_of_safetensors(WeightType type, const Head& head) {
  std::vector<std::byte> block(static_cast<size_t>(block_of(type).bytes));
  for (size_t k = 0; k < block.size(); ++k) block[k] = static_cast<std::byte>(29 * k + 3);
  std::memcpy(block.data(), &head, sizeof head);
  return block;
}

TEST(Blocks, OfSafetensorsAreScaleTimesDistanceFromZeroPlusOffset) {
  for (const Affine head : {Affine{0.5f, 0.0f, 8}, Affine{-0.25f, 3.5f, 0}}) {
    std::vector<float> values(32);
    const auto four = block_of_safetensors(WeightType::affine4, head);
    widen(values.data(), WeightType::affine4, four.data(), 32);
    for (size_t i = 0; i < 32; ++i) {
      const auto byte = static_cast<int>(four[12 + i % 16]);
      const int q = i < 16 ? byte & 15 : byte >> 4;
      EXPECT_EQ(values[i], head.scale * static_cast<float>(q - head.zero) + head.offset);
    }
    const auto eight = block_of_safetensors(WeightType::affine8, head);
    widen(values.data(), WeightType::affine8, eight.data(), 32);
    for (size_t i = 0; i < 32; ++i) {
      const auto q = static_cast<int>(eight[12 + i]);
      EXPECT_EQ(values[i], head.scale * static_cast<float>(q - head.zero) + head.offset);
    }
    EXPECT_TRUE(all_finite(WeightType::affine4, four.data(), 32));
    EXPECT_TRUE(all_finite(WeightType::affine8, eight.data(), 32));
  }
  for (const Affine head : {Affine{INFINITY, 0, 0}, Affine{1, NAN, 0}, Affine{3e38f, 0, 128}}) {
    EXPECT_FALSE(all_finite(
        WeightType::affine8, block_of_safetensors(WeightType::affine8, head).data(), 32));
  }
}

TEST(Blocks, OfE4m3) {
  std::vector<std::byte> block = block_of_safetensors(WeightType::fp8, 2.0f);
  const std::map<int, float> values = {{0x00, 0.0f},
                                       {0x01, 0x1p-9f},
                                       {0x07, 7 * 0x1p-9f},
                                       {0x08, 0x1p-6f},
                                       {0x38, 1.0f},
                                       {0x3C, 1.5f},
                                       {0x7E, 448.0f},
                                       {0xFE, -448.0f},
                                       {0xB9, -1.125f}};
  size_t i = 4;
  for (const auto& entry : values) block[i++] = static_cast<std::byte>(entry.first);
  for (; i < block.size(); ++i) block[i] = std::byte{0x80};
  std::vector<float> widened(32);
  widen(widened.data(), WeightType::fp8, block.data(), 32);
  i = 0;
  for (const auto& entry : values) EXPECT_EQ(widened[i++], 2.0f * entry.second) << entry.first;
  EXPECT_TRUE(all_finite(WeightType::fp8, block.data(), 32));
  block[20] = std::byte{0xFF};
  EXPECT_FALSE(all_finite(WeightType::fp8, block.data(), 32));
}

TEST(Blocks, ScalesMakeTheNumbersOfTheCodes) {
  int n_types = 0;
  for (int t = 0; t < kWeightTypes; ++t) {
    const auto type = static_cast<WeightType>(t);
    const int group = code_scale_group(type);
    if (group == 0) continue;
    ++n_types;
    const auto [elements, size] = block_of(type);
    const std::vector<std::byte> blocks = test::random_blocks(type, int64_t{40} * elements, 5);
    for (int b = 0; b < 40; ++b) {
      const auto* const block = reinterpret_cast<const uint8_t*>(blocks.data()) + b * size;
      std::vector<float> numbers(static_cast<size_t>(elements));
      std::vector<uint8_t> codes(numbers.size());
      std::vector<CodeScale> scales(numbers.size() / static_cast<size_t>(group));
      widen(numbers.data(), type, reinterpret_cast<const std::byte*>(block), elements);
      block_codes(codes.data(), type, block);
      code_scales(scales.data(), type, block);
      for (size_t i = 0; i < numbers.size(); ++i) {
        const auto [scale, offset] = scales[i / static_cast<size_t>(group)];
        const bool e4m3 = type == WeightType::fp8 || type == WeightType::fp8_128;
        const float code = e4m3 ? e4m3_to_f32(codes[i]) : codes[i];
        ASSERT_EQ(std::fma(scale, code, offset), numbers[i]) << weight_type_name(type) << " " << i;
      }
    }
  }
  EXPECT_EQ(n_types, 14);
}

}  // namespace
}  // namespace qwen3
