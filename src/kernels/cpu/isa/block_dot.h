// Integers of sixteen lanes, and dot products of bytes in them: four products of an unsigned code and a
// signed activation at a time, added up exactly.
//
// An instruction set multiplies codes as they are, or, if its instructions want both sides signed, less
// 128 where they may be larger than 127 (kSignedCodes). Sums are exact: whoever subtracts the bias makes
// up for it, and every instruction set arrives at the same integer.
#pragma once

#include "kernels/cpu/isa/simd.h"

namespace qwen3::cpu {
namespace {

QWEN3_INLINE i32x16 shift_right(i32x16 a, int n) {  // copies the sign in
  i32x16 out;
  for (int i = 0; i < kRegisters; ++i) out.r[i] = a.r[i] >> n;
  return out;
}

QWEN3_INLINE f32x16 to_float(i32x16 a) {
  f32x16 out;
  for (int i = 0; i < kRegisters; ++i) out.r[i] = __builtin_convertvector(a.r[i], Reg);
  return out;
}

// Sixteen bytes as dwords.
QWEN3_INLINE i32x16 load_unsigned(const uint8_t* p) {
#if defined(__AVX512F__)
  return {{(RegInt)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))}};
#elif defined(__aarch64__)
  const uint8x16_t bytes = vld1q_u8(p);
  const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_high_u8(bytes);
  return {{(RegInt)vmovl_u16(vget_low_u16(low)),
           (RegInt)vmovl_high_u16(low),
           (RegInt)vmovl_u16(vget_low_u16(high)),
           (RegInt)vmovl_high_u16(high)}};
#else
  alignas(64) int32_t lane[16];
  for (int i = 0; i < 16; ++i) lane[i] = p[i];
  return load_int(lane);
#endif
}
QWEN3_INLINE i32x16 load_signed(const uint8_t* p) {
#if defined(__AVX512F__)
  return {{(RegInt)_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))}};
#elif defined(__aarch64__)
  const int8x16_t bytes = vld1q_s8(reinterpret_cast<const int8_t*>(p));
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
  return {{(RegInt)vmovl_s16(vget_low_s16(low)),
           (RegInt)vmovl_high_s16(low),
           (RegInt)vmovl_s16(vget_low_s16(high)),
           (RegInt)vmovl_high_s16(high)}};
#else
  alignas(64) int32_t lane[16];
  for (int i = 0; i < 16; ++i) lane[i] = static_cast<int8_t>(p[i]);
  return load_int(lane);
#endif
}

QWEN3_INLINE f32x16 load_halves(const uint8_t* p) {
#if defined(__AVX512F__)
  return {{(Reg)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))}};
#elif defined(__F16C__)
  const auto* halves = reinterpret_cast<const __m128i*>(p);
  return {{(Reg)_mm256_cvtph_ps(_mm_loadu_si128(halves)),
           (Reg)_mm256_cvtph_ps(_mm_loadu_si128(halves + 1))}};
#elif defined(__aarch64__)
  f32x16 out;
  for (int i = 0; i < kRegisters; ++i) {
    out.r[i] = (Reg)vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * i)));
  }
  return out;
#else
  alignas(64) int32_t lane[16];
  for (int i = 0; i < 16; ++i) {
    uint16_t bits;
    __builtin_memcpy(&bits, p + 2 * i, 2);
    lane[i] = bits;
  }
  return f16_low(load_int(lane));
#endif
}

// Four activations of one row in every lane, in the form that dot() wants.
#if defined(__aarch64__)
#if defined(__ARM_FEATURE_MATMUL_INT8)
constexpr bool kSignedCodes = false;
#else
constexpr bool kSignedCodes = true;
#endif
struct FourInputs {
  int8x16_t bytes;
};
QWEN3_INLINE FourInputs broadcast(int32_t four) {
  return {vreinterpretq_s8_s32(vdupq_n_s32(four))};
}
// acc + Σ of four products of a code and an activation, in every lane.
QWEN3_INLINE i32x16 dot(i32x16 acc, i32x16 codes, const FourInputs& x) {
  for (int i = 0; i < kRegisters; ++i) {
    const auto sum = (int32x4_t)acc.r[i];
#if defined(__ARM_FEATURE_MATMUL_INT8)
    acc.r[i] = (RegInt)vusdotq_s32(sum, (uint8x16_t)codes.r[i], x.bytes);
#elif defined(__ARM_FEATURE_DOTPROD)
    acc.r[i] = (RegInt)vdotq_s32(sum, (int8x16_t)codes.r[i], x.bytes);
#else
    // Two products at most are 2 · 128 · 127 and fit 16 bits.
    const auto w = (int8x16_t)codes.r[i];
    const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x.bytes));
    acc.r[i] = (RegInt)vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(w, x.bytes)));
#endif
  }
  return acc;
}
#elif defined(__AVX512VNNI__)
constexpr bool kSignedCodes = false;
struct FourInputs {
  i32x16 bytes;
};
QWEN3_INLINE FourInputs broadcast(int32_t four) { return {splat_int(four)}; }
QWEN3_INLINE i32x16 dot(i32x16 acc, i32x16 codes, const FourInputs& x) {
  return {
      {(RegInt)_mm512_dpbusd_epi32((__m512i)acc.r[0], (__m512i)codes.r[0], (__m512i)x.bytes.r[0])}};
}
#elif defined(__x86_64__)
// Without such an instruction the even and the odd bytes become pairs of 16 bits, whose products
// cannot overflow.
constexpr bool kSignedCodes = false;
struct FourInputs {
  i32x16 even, odd;
};
QWEN3_INLINE FourInputs broadcast(int32_t four) {
  const auto byte = [&](int i) {
    return static_cast<int32_t>(static_cast<int8_t>(four >> (8 * i)));
  };
  return {
      splat_int((byte(0) & 0xFFFF) | static_cast<int32_t>(static_cast<uint32_t>(byte(2)) << 16)),
      splat_int((byte(1) & 0xFFFF) | static_cast<int32_t>(static_cast<uint32_t>(byte(3)) << 16))};
}
QWEN3_INLINE RegInt multiply_pairs(RegInt a, RegInt b) {
#if defined(__AVX512BW__)
  return (RegInt)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (RegInt)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
  return (RegInt)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
}
QWEN3_INLINE i32x16 dot(i32x16 acc, i32x16 codes, const FourInputs& x) {
  for (int i = 0; i < kRegisters; ++i) {
    acc.r[i] += multiply_pairs(codes.r[i] & 0x00FF00FF, x.even.r[i]) +
                multiply_pairs((codes.r[i] >> 8) & 0x00FF00FF, x.odd.r[i]);
  }
  return acc;
}
#else
constexpr bool kSignedCodes = false;
struct FourInputs {
  int32_t bytes[4];
};
QWEN3_INLINE FourInputs broadcast(int32_t four) {
  FourInputs x;
  for (int i = 0; i < 4; ++i) x.bytes[i] = static_cast<int8_t>(four >> (8 * i));
  return x;
}
QWEN3_INLINE i32x16 dot(i32x16 acc, i32x16 codes, const FourInputs& x) {
  for (int i = 0; i < kRegisters; ++i) {
    for (int b = 0; b < 4; ++b) acc.r[i] += ((codes.r[i] >> (8 * b)) & 0xFF) * x.bytes[b];
  }
  return acc;
}
#endif

}  // namespace
}  // namespace qwen3::cpu
