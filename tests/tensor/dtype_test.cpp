// Conversions, exhaustively: all 65,536 patterns of each 16-bit type against the definition of the
// format, and against the processor's own instructions where it has them.
#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tensor/convert.h"

// GCC only: clang 14 neither takes the intrinsic in C++ without a warning nor asks for this
// feature.
#if defined(__x86_64__) && !defined(__clang__)
#include <immintrin.h>
#endif

namespace qwen3 {
namespace {

// sign * 2^(exponent - bias) * 1.mantissa, or subnormal, in double: exact.
double value_of(uint16_t bits, int exponent_bits) {
  const int mantissa_bits = 15 - exponent_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1);
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  }
  const double significand = std::ldexp(mantissa, -mantissa_bits) + (exponent != 0 ? 1 : 0);
  return sign * std::ldexp(significand, (exponent == 0 ? 1 : exponent) - bias);
}

struct Format {
  DType type;
  int exponent_bits;
  float (*widen)(uint16_t);
  uint16_t (*narrow)(float);
};
constexpr Format kFormats[] = {{DType::bf16, 8, bf16_to_f32, f32_to_bf16},
                               {DType::f16, 5, f16_to_f32, f32_to_f16}};

TEST(DType, SizesAndNames) {
  EXPECT_EQ(dtype_size(DType::f32), 4);
  EXPECT_EQ(dtype_size(DType::i32), 4);
  EXPECT_EQ(dtype_size(DType::bf16), 2);
  EXPECT_EQ(dtype_size(DType::f16), 2);
  EXPECT_EQ(dtype_name(DType::bf16), "bfloat16");
}

TEST(DType, WideningIsExactAndNarrowingInvertsIt) {
  for (const Format& format : kFormats) {
    for (uint32_t i = 0; i < 65536; ++i) {
      const auto bits = static_cast<uint16_t>(i);
      const double expected = value_of(bits, format.exponent_bits);
      const float got = format.widen(bits);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(got)) << i;
        ASSERT_TRUE(std::isnan(format.widen(format.narrow(got)))) << i;
        continue;
      }
      ASSERT_EQ(got, expected) << i;
      ASSERT_EQ(std::signbit(got), (i & 0x8000) != 0) << i;
      ASSERT_EQ(format.narrow(got), bits) << i;
    }
  }
}

// Around every midpoint between neighbours: below goes down, above goes up, the tie goes to even.
TEST(DType, NarrowingRoundsToNearestEven) {
  for (const Format& format : kFormats) {
    const auto infinity =
        static_cast<uint16_t>(((1 << format.exponent_bits) - 1) << (15 - format.exponent_bits));
    for (uint16_t bits = 0; bits < infinity; ++bits) {
      const double low = value_of(bits, format.exponent_bits);
      // Beyond the largest number, the next step of the same size stands for infinity.
      const double step = bits + 1 == infinity ? low - value_of(bits - 1, format.exponent_bits)
                                               : value_of(bits + 1, format.exponent_bits) - low;
      const auto middle = static_cast<float>(low + step / 2);
      ASSERT_EQ(middle, low + step / 2);
      const auto up = static_cast<uint16_t>(bits + 1);
      const uint16_t even = bits % 2 == 0 ? bits : up;
      const float below = std::nextafter(middle, 0.0f);
      const float above = std::nextafter(middle, std::numeric_limits<float>::infinity());
      ASSERT_EQ(format.narrow(middle), even) << bits;
      ASSERT_EQ(format.narrow(below), bits) << bits;
      ASSERT_EQ(format.narrow(above), up) << bits;
      ASSERT_EQ(format.narrow(-middle), even | 0x8000) << bits;
      ASSERT_EQ(format.narrow(-below), bits | 0x8000) << bits;
      ASSERT_EQ(format.narrow(-above), up | 0x8000) << bits;
    }
    EXPECT_EQ(format.narrow(std::numeric_limits<float>::infinity()), infinity);
    EXPECT_EQ(format.narrow(-std::numeric_limits<float>::infinity()), infinity | 0x8000);
    EXPECT_EQ(format.narrow(std::numeric_limits<float>::max()), infinity);
  }
}

TEST(DType, NaNStaysNaN) {
  for (uint32_t payload = 1; payload < 0x800000; payload += 4099) {
    for (const uint32_t sign : {0u, 0x80000000u}) {
      const auto nan = std::bit_cast<float>(sign | 0x7F800000 | payload);
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(nan)))) << payload;
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(nan)))) << payload;
    }
  }
}

#if defined(__x86_64__) && !defined(__clang__)
__attribute__((target("f16c"))) void compare_with_f16c() {
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto expected = std::bit_cast<uint32_t>(_cvtsh_ss(static_cast<uint16_t>(i)));
    const auto got = std::bit_cast<uint32_t>(f16_to_f32(static_cast<uint16_t>(i)));
    const bool nan = (expected & 0x7FFFFFFF) > 0x7F800000;
    ASSERT_EQ(nan ? got | 0x400000 : got, expected) << i;  // the instruction quiets NaNs
  }
  // Every float pattern in steps of a prime: all exponents, all kinds of mantissa.
  for (uint64_t i = 0; i < (uint64_t{1} << 32); i += 4099) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(i));
    if (std::isnan(value)) continue;
    ASSERT_EQ(f32_to_f16(value), _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT)) << i;
  }
}

TEST(DType, AgreesWithTheProcessor) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("f16c")) GTEST_SKIP() << "this processor has no F16C instructions";
  compare_with_f16c();
}
#endif

TEST(Convert, EveryPairOfTypes) {
  constexpr int64_t kN = 65536;
  std::vector<uint16_t> all(kN);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  for (const Format& from : kFormats) {
    std::vector<float> wide(kN);
    convert_elements(wide.data(), DType::f32, all.data(), from.type, kN);
    for (const Format& to : kFormats) {
      std::vector<uint16_t> direct(kN), through(kN);
      convert_elements(direct.data(), to.type, all.data(), from.type, kN);
      convert_elements(through.data(), to.type, wide.data(), DType::f32, kN);
      for (size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), std::bit_cast<uint32_t>(from.widen(all[i])));
        ASSERT_EQ(load_f32(all.data(), from.type, static_cast<int64_t>(i)) == wide[i],
                  wide[i] == wide[i]);
        ASSERT_EQ(through[i], to.narrow(from.widen(all[i]))) << i;
        ASSERT_EQ(direct[i], from.type == to.type ? all[i] : through[i]) << i;
      }
    }
  }
  const float one = 1.5f;
  float copy = 0;
  convert_elements(&copy, DType::f32, &one, DType::f32, 1);
  EXPECT_EQ(copy, one);
}

TEST(AllFinite, KnowsEveryPatternWhereverItStands) {
  for (const Format& format : kFormats) {
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      std::vector<uint16_t> values(67, 0);
      values[bits % 67] = static_cast<uint16_t>(bits);
      ASSERT_EQ(all_finite(values.data(), format.type, 67),
                std::isfinite(format.widen(static_cast<uint16_t>(bits))))
          << bits;
    }
  }
  const float largest = std::numeric_limits<float>::max();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {0.0f, -0.0f, largest, -largest, infinity, -infinity, NAN, -NAN}) {
    for (size_t at = 0; at < 20; ++at) {
      std::vector<float> values(20, 1);
      values[at] = value;
      EXPECT_EQ(all_finite(values.data(), DType::f32, 20), std::isfinite(value)) << value;
      EXPECT_EQ(all_finite(values.data(), DType::f32, static_cast<int64_t>(at)), true) << value;
    }
  }
  EXPECT_TRUE(all_finite(nullptr, DType::f32, 0));
}

}  // namespace
}  // namespace qwen3
