// Numbers into blocks: errors against what plain rounding would have, and against what was asked for.
#include "tensor/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tensor/blocks.h"

namespace qwen3 {
namespace {

struct Rounding {
  WeightType type;
  int group;      // elements that share a scale
  float steps;    // into which plain rounding divides `span`
  bool one_sign;  // the span is the largest magnitude; else from the least to the largest
};
const Rounding kRoundings[] = {{WeightType::q4_0, 32, 8, true},
                               {WeightType::q4_1, 32, 15, false},
                               {WeightType::q5_0, 32, 16, true},
                               {WeightType::q5_1, 32, 31, false},
                               {WeightType::q8_0, 32, 127, true},
                               {WeightType::q4_k, 32, 15, false},
                               {WeightType::q5_k, 32, 31, false},
                               {WeightType::q6_k, 16, 32, true}};

std::vector<float> normal_numbers(size_t n, unsigned seed, float size = 0.02f) {
  std::mt19937 engine(seed);
  std::vector<float> numbers(n);
  // Sums of uniforms: std::normal_distribution differs between libraries.
  for (float& x : numbers) {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(engine()) / 4294967296.0;
    x = size * static_cast<float>(sum - 6);
  }
  return numbers;
}

std::vector<std::byte> quantized(WeightType type,
                                 const std::vector<float>& x,
                                 const std::vector<float>& importance = {}) {
  std::vector<std::byte> bytes(
      static_cast<size_t>(row_bytes(type, static_cast<int64_t>(x.size()))));
  quantize_row(bytes.data(), type, x, importance);
  return bytes;
}

std::vector<float> there_and_back(WeightType type,
                                  const std::vector<float>& x,
                                  const std::vector<float>& importance = {}) {
  std::vector<float> back(x.size());
  widen(back.data(), type, quantized(type, x, importance).data(), static_cast<int64_t>(x.size()));
  return back;
}

double weighted_error(const std::vector<float>& x,
                      const std::vector<float>& y,
                      const std::vector<float>& w = {}) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double off = x[i] - y[i];
    sum += (w.empty() ? 1.0 : w[i]) * off * off;
  }
  return sum;
}

// Columns that differ by factors of a hundred.
std::vector<float> uneven(size_t n) {
  std::vector<float> importance = normal_numbers(n, 77, 1);
  for (float& w : importance) w = std::exp(2 * w);
  return importance;
}

// A uniform error within a step has a mean square of step² / 12. Scales that are integers of six or
// eight bits, or that leave out the end of the codes, cost a little; a good search gains more.
TEST(Quantize, HasNoMoreErrorThanRoundingToEqualSteps) {
  const std::vector<float> x = normal_numbers(64 * 256, 1);
  for (const Rounding& r : kRoundings) {
    double expected = 0;
    for (size_t at = 0; at < x.size(); at += static_cast<size_t>(r.group)) {
      const auto [low, high] = std::minmax_element(x.begin() + static_cast<int64_t>(at),
                                                   x.begin() + static_cast<int64_t>(at) + r.group);
      const double span =
          r.one_sign ? std::max(std::abs(*low), std::abs(*high)) : double{*high} - *low;
      const double step = span / r.steps;
      expected += r.group * step * step / 12;
    }
    EXPECT_LT(weighted_error(x, there_and_back(r.type, x)), expected) << weight_type_name(r.type);
  }
}

TEST(Quantize, NoElementIsFurtherOffThanAStep) {
  // Without importance a fit may cut an extreme off, by less than two steps of the whole span.
  const std::vector<float> x = normal_numbers(64 * 256, 2);
  for (const Rounding& r : kRoundings) {
    const std::vector<float> back = there_and_back(r.type, x);
    const int64_t block = block_of(r.type).elements;
    for (size_t at = 0; at < x.size(); at += static_cast<size_t>(block)) {
      const auto [low, high] = std::minmax_element(x.begin() + static_cast<int64_t>(at),
                                                   x.begin() + static_cast<int64_t>(at) + block);
      const float span = r.one_sign ? std::max(std::abs(*low), std::abs(*high)) : *high - *low;
      for (size_t i = at; i < at + static_cast<size_t>(block); ++i) {
        ASSERT_LE(std::abs(x[i] - back[i]), 2 * span / r.steps) << weight_type_name(r.type);
      }
    }
  }
}

TEST(Quantize, ImportanceLowersTheErrorThatItWeighs) {
  const std::vector<float> x = normal_numbers(64 * 256, 3), w = uneven(x.size());
  for (const Rounding& r : kRoundings) {
    const double with = weighted_error(x, there_and_back(r.type, x, w), w);
    const double without = weighted_error(x, there_and_back(r.type, x), w);
    EXPECT_LT(with, 0.95 * without) << weight_type_name(r.type);
    // And costs elsewhere: it is no better search for everything.
    EXPECT_GT(weighted_error(x, there_and_back(r.type, x, w)),
              weighted_error(x, there_and_back(r.type, x)))
        << weight_type_name(r.type);
  }
}

TEST(Quantize, AnImportanceOfNothingIsNone) {
  const std::vector<float> x = normal_numbers(512, 4);
  for (const Rounding& r : kRoundings) {
    EXPECT_EQ(quantized(r.type, x, std::vector<float>(x.size(), 0)), quantized(r.type, x))
        << weight_type_name(r.type);
  }
}

TEST(Quantize, ColumnsThatNothingUsesAreStillStored) {
  std::vector<float> x = normal_numbers(256, 5), w(256, 1);
  for (size_t i = 0; i < 256; i += 2) w[i] = 0;
  for (const Rounding& r : kRoundings) {
    const std::vector<float> back = there_and_back(r.type, x, w);
    double off = 0, size = 0;
    for (size_t i = 0; i < 256; i += 2) {
      off += (x[i] - back[i]) * (x[i] - back[i]);
      size += x[i] * x[i];
    }
    EXPECT_LT(off, 0.1 * size) << weight_type_name(r.type);
  }
}

TEST(Quantize, ZerosConstantsAndSingleNumbers) {
  for (const Rounding& r : kRoundings) {
    for (const float value : {0.0f, 1.0f, -1.0f, 0.375f, -1e-3f, 1e-30f, 60000.0f, -60000.0f}) {
      std::vector<float> x(256, value);
      const std::vector<float> back = there_and_back(r.type, x);
      const float tolerance = std::max(std::abs(value) * 0.13f, 1e-7f);
      for (const float y : back) {
        ASSERT_LE(std::abs(y - value), tolerance) << weight_type_name(r.type) << " of " << value;
      }
    }
    std::vector<float> lone(256, 0);
    lone[100] = -2.5f;
    EXPECT_NEAR(there_and_back(r.type, lone)[100], -2.5, 0.01) << weight_type_name(r.type);
  }
}

TEST(Quantize, WhatFloat16CannotScaleShows) {
  for (const Rounding& r : kRoundings) {
    std::vector<float> x(256, 1e12f);
    for (size_t i = 0; i < x.size(); i += 3) x[i] = -1e12f;
    EXPECT_FALSE(all_finite(r.type, quantized(r.type, x).data(), 256)) << weight_type_name(r.type);
  }
}

TEST(Quantize, PlainNumbersAreRounded) {
  const std::vector<float> x = {1, -0.5f, 3.14159f, 0};
  EXPECT_EQ(there_and_back(WeightType::f32, x), x);
  EXPECT_NEAR(there_and_back(WeightType::f16, x)[2], 3.14159, 1e-3);
  EXPECT_FALSE(can_quantize(WeightType::iq4_xs));
  EXPECT_TRUE(can_quantize(WeightType::q6_k));
}

}  // namespace
}  // namespace qwen3
