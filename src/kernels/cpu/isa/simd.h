// f32x16: sixteen floats in as many native registers as they take (one of AVX-512, two of AVX2,
// four of SSE2 or NEON), so that every kernel is written once, for panels of 16.
//
// Registers are the compiler's native vector types: + - * / < & | << work on them as they are, and
// intrinsics remain for what has no operator (fused multiply-add, half precision, masked tails).
//
// Everything in isa/*.h is in an anonymous namespace, on purpose: each isa/<name>.cpp compiles
// these headers with its own instruction set, and with external linkage the linker would keep one
// copy for all of them, possibly one that the running processor cannot execute. For the same reason
// the headers call no inline function of other headers (std::max included).
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace qwen3::cpu {
namespace {  // NOLINT(google-build-namespaces): see above

#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX2__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif
constexpr int kLanes = kRegisterBytes / 4;
constexpr int kRegisters = 16 / kLanes;

#define QWEN3_INLINE inline __attribute__((always_inline))

using Reg = float __attribute__((vector_size(kRegisterBytes)));
using RegInt = int32_t __attribute__((vector_size(kRegisterBytes)));
// The same, for loads and stores at any address.
using RegUnaligned = float __attribute__((vector_size(kRegisterBytes), aligned(4), may_alias));
using RegIntUnaligned = int32_t __attribute__((vector_size(kRegisterBytes), aligned(4), may_alias));

struct f32x16 {
  Reg r[kRegisters];
};
struct i32x16 {
  RegInt r[kRegisters];
};

// Applies an expression to each register; `i` is the register's number.
#define QWEN3_EACH(type, expression)     \
  type out_;                             \
  for (int i = 0; i < kRegisters; ++i) { \
    out_.r[i] = (expression);            \
  }                                      \
  return out_

QWEN3_INLINE f32x16 splat(float x) { QWEN3_EACH(f32x16, x - Reg{}); }
QWEN3_INLINE i32x16 splat_int(int32_t x) { QWEN3_EACH(i32x16, x - RegInt{}); }
QWEN3_INLINE f32x16 zero() { QWEN3_EACH(f32x16, Reg{}); }

QWEN3_INLINE f32x16 operator+(f32x16 a, f32x16 b) { QWEN3_EACH(f32x16, a.r[i] + b.r[i]); }
QWEN3_INLINE f32x16 operator-(f32x16 a, f32x16 b) { QWEN3_EACH(f32x16, a.r[i] - b.r[i]); }
QWEN3_INLINE f32x16 operator*(f32x16 a, f32x16 b) { QWEN3_EACH(f32x16, a.r[i] * b.r[i]); }
QWEN3_INLINE f32x16 operator/(f32x16 a, f32x16 b) { QWEN3_EACH(f32x16, a.r[i] / b.r[i]); }
QWEN3_INLINE i32x16 operator+(i32x16 a, i32x16 b) { QWEN3_EACH(i32x16, a.r[i] + b.r[i]); }
QWEN3_INLINE i32x16 operator-(i32x16 a, i32x16 b) { QWEN3_EACH(i32x16, a.r[i] - b.r[i]); }
QWEN3_INLINE i32x16 operator&(i32x16 a, i32x16 b) { QWEN3_EACH(i32x16, a.r[i] & b.r[i]); }
QWEN3_INLINE i32x16 operator|(i32x16 a, i32x16 b) { QWEN3_EACH(i32x16, a.r[i] | b.r[i]); }
QWEN3_INLINE i32x16 operator^(i32x16 a, i32x16 b) { QWEN3_EACH(i32x16, a.r[i] ^ b.r[i]); }
QWEN3_INLINE i32x16 shift_left(i32x16 a, int n) { QWEN3_EACH(i32x16, a.r[i] << n); }
QWEN3_INLINE f32x16 as_float(i32x16 a) { QWEN3_EACH(f32x16, (Reg)a.r[i]); }
QWEN3_INLINE i32x16 as_int(f32x16 a) { QWEN3_EACH(i32x16, (RegInt)a.r[i]); }

// a where a > b, else b; so max_of(x, NaN) = NaN and a NaN in `a` is dropped.
QWEN3_INLINE f32x16 max_of(f32x16 a, f32x16 b) {
  QWEN3_EACH(f32x16, a.r[i] > b.r[i] ? a.r[i] : b.r[i]);
}
// `value` where x < limit, else `other`: a NaN in x selects `other`.
QWEN3_INLINE f32x16 select_less(f32x16 x, f32x16 limit, f32x16 value, f32x16 other) {
  QWEN3_EACH(f32x16, x.r[i] < limit.r[i] ? value.r[i] : other.r[i]);
}

// acc + a * b, rounded once where the instruction set can. Contraction is off for these files, so
// the baseline rounds twice everywhere alike.
QWEN3_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 acc) {
#if defined(__AVX512F__)
  QWEN3_EACH(f32x16, (Reg)_mm512_fmadd_ps((__m512)a.r[i], (__m512)b.r[i], (__m512)acc.r[i]));
#elif defined(__AVX2__)
  QWEN3_EACH(f32x16, (Reg)_mm256_fmadd_ps((__m256)a.r[i], (__m256)b.r[i], (__m256)acc.r[i]));
#elif defined(__aarch64__)
  QWEN3_EACH(f32x16,
             (Reg)vfmaq_f32((float32x4_t)acc.r[i], (float32x4_t)a.r[i], (float32x4_t)b.r[i]));
#else
  QWEN3_EACH(f32x16, a.r[i] * b.r[i] + acc.r[i]);
#endif
}

QWEN3_INLINE f32x16 load(const float* p) {
  QWEN3_EACH(f32x16, *reinterpret_cast<const RegUnaligned*>(p + i * kLanes));
}
QWEN3_INLINE i32x16 load_int(const void* p) {
  QWEN3_EACH(i32x16, reinterpret_cast<const RegIntUnaligned*>(p)[i]);
}
QWEN3_INLINE void store(float* p, f32x16 x) {
  for (int i = 0; i < kRegisters; ++i) *reinterpret_cast<RegUnaligned*>(p + i * kLanes) = x.r[i];
}
QWEN3_INLINE void store_int(void* p, i32x16 x) {
  for (int i = 0; i < kRegisters; ++i) reinterpret_cast<RegIntUnaligned*>(p)[i] = x.r[i];
}

// The first n (0 to 16) floats; the others are zero and their memory is not touched.
QWEN3_INLINE f32x16 load_first(const float* p, int64_t n) {
#if defined(__AVX512F__)
  return {{(Reg)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p)}};
#else
  alignas(64) float lane[16] = {};
  for (int64_t i = 0; i < n; ++i) lane[i] = p[i];
  return load(lane);
#endif
}
QWEN3_INLINE void store_first(float* p, f32x16 x, int64_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), (__m512)x.r[0]);
#else
  alignas(64) float lane[16];
  store(lane, x);
  for (int64_t i = 0; i < n; ++i) p[i] = lane[i];
#endif
}

// Sum and maximum over the lanes, by halving: the same tree on every instruction set.
QWEN3_INLINE float sum(f32x16 x) {
  alignas(64) float lane[16];
  store(lane, x);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}
QWEN3_INLINE float max_lane(f32x16 x) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)x.r[0]);
#else
  alignas(64) float lane[16];
  store(lane, x);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
  }
  return lane[0];
#endif
}

// ---- 16-bit pairs: sixteen dwords, in each the low half is the even column, the high the odd ----

QWEN3_INLINE f32x16 bf16_even(i32x16 pairs) { return as_float(shift_left(pairs, 16)); }
QWEN3_INLINE f32x16 bf16_odd(i32x16 pairs) {
  return as_float(pairs & splat_int(static_cast<int32_t>(0xFFFF0000u)));
}

// The low half of each dword as binary16. Moving exponent and mantissa into a float's place leaves
// the exponent 112 too small; one multiplication by 2^112 fixes it and is exact for subnormals too.
QWEN3_INLINE f32x16 f16_low(i32x16 x) {
#if defined(__AVX512F__)
  return {{(Reg)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)x.r[0]))}};
#else
  const i32x16 magnitude = shift_left(x & splat_int(0x7FFF), 13);
  const f32x16 scaled = as_float(magnitude) * splat(0x1p112f);
  const f32x16 infinite = as_float(magnitude | splat_int(0x7F800000));  // keeps a NaN's mantissa
  const f32x16 value = select_less(scaled, splat(65536.0f), scaled, infinite);
  return as_float(as_int(value) | shift_left(x & splat_int(0x8000), 16));
#endif
}
QWEN3_INLINE f32x16 f16_even(i32x16 pairs) { return f16_low(pairs); }
QWEN3_INLINE f32x16 f16_odd(i32x16 pairs) {
  i32x16 high;
  for (int i = 0; i < kRegisters; ++i) high.r[i] = pairs.r[i] >> 16;
  return f16_low(high);
}

// Rounded to bfloat16, to nearest even, in the high half of each lane (low half zero). NaN stays
// NaN.
QWEN3_INLINE i32x16 round_to_bf16(f32x16 x) {
  i32x16 out;
  for (int i = 0; i < kRegisters; ++i) {
    const RegInt bits = (RegInt)x.r[i];
    const RegInt rounded = bits + 0x7FFF + (bits >> 16 & 1);
    const RegInt value = x.r[i] == x.r[i] ? rounded : (bits | 0x400000);
    out.r[i] = value & static_cast<int32_t>(0xFFFF0000u);
  }
  return out;
}
// 16 floats to 16 bfloat16 in order.
QWEN3_INLINE void store_bf16(uint16_t* p, f32x16 x) {
#if defined(__AVX512BF16__)
  *reinterpret_cast<__m256i_u*>(p) = (__m256i)_mm512_cvtneps_pbh((__m512)x.r[0]);
#elif defined(__AVX512F__)
  const __m512i bits = (__m512i)round_to_bf16(x).r[0];
  *reinterpret_cast<__m256i_u*>(p) = _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16));
#else
  alignas(64) uint32_t lane[16];
  store_int(lane, round_to_bf16(x));
  for (int i = 0; i < 16; ++i) p[i] = static_cast<uint16_t>(lane[i] >> 16);
#endif
}

// exp to about 1e-7 relative. x = n ln2 + r, |r| <= ln2/2; e^r by its Taylor series to r^7 (the
// next term is 5e-9); 2^n by building the exponent. Below -87.3 the result is 0 (so exp(-inf) = 0);
// above 88 it is held at exp(88), near the largest float. NaN stays NaN.
QWEN3_INLINE f32x16 exp(f32x16 x) {
  constexpr float kLowest = -87.3f;
  const f32x16 top = splat(88.0f);
  const f32x16 held = select_less(top, x, top, select_less(x, splat(kLowest), splat(kLowest), x));
  const f32x16 magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const f32x16 shifted = fma(held, splat(1.44269504088896341f), magic);
  const f32x16 n = shifted - magic;
  // ln2 in two parts; the first has few bits, so n * first is exact.
  f32x16 r = fma(n, splat(-0.693359375f), held);
  r = fma(n, splat(2.12194440e-4f), r);
  f32x16 p = splat(1.0f / 5040);
  p = fma(p, r, splat(1.0f / 720));
  p = fma(p, r, splat(1.0f / 120));
  p = fma(p, r, splat(1.0f / 24));
  p = fma(p, r, splat(1.0f / 6));
  p = fma(p, r, splat(0.5f));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  const i32x16 power = shift_left(as_int(shifted) - as_int(magic) + splat_int(127), 23);
  return select_less(x, splat(kLowest), zero(), p * as_float(power));
}

#undef QWEN3_EACH

}  // namespace
}  // namespace qwen3::cpu
