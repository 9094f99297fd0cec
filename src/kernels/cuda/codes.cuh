// Weights in codes (layout.h) on their way into matrix instructions: a unit's two tiles in a warp's registers,
// as load of a tile in fragments would give them. The arithmetic is that of code_value(), number by number.
//
// What it costs counts: with one row of activations a multiprocessor has some 4 instructions a lane for each
// weight while its bytes come. So 4 bits become a number in [1, 2) by three bit operations, without a conversion.
#pragma once

#include <cuda_fp8.h>

#include "kernels/cuda/device.cuh"

namespace qwen3::cuda {

// Element `kElement` of eight as 1 + code / 16: its bits at the top of the mantissa.
template <int kElement>
__device__ inline float four_bits(uint32_t word) {
  constexpr int kShift = 19 - 4 * kElement;
  const uint32_t placed =
      kShift >= 0 ? word << (kShift >= 0 ? kShift : 0) : word >> (kShift < 0 ? -kShift : 0);
  return __uint_as_float((placed & 0x00780000u) | 0x3F800000u);
}

__device__ inline uint4 tile_of_int4(uint32_t word, const float2& low, const float2& high) {
  return {
      pack_bf16(fmaf(low.x, four_bits<0>(word), low.y), fmaf(low.x, four_bits<1>(word), low.y)),
      pack_bf16(fmaf(high.x, four_bits<2>(word), high.y), fmaf(high.x, four_bits<3>(word), high.y)),
      pack_bf16(fmaf(low.x, four_bits<4>(word), low.y), fmaf(low.x, four_bits<5>(word), low.y)),
      pack_bf16(fmaf(high.x, four_bits<6>(word), high.y),
                fmaf(high.x, four_bits<7>(word), high.y))};
}

// Byte `kByte` as a number: the low bits of 2^23 + code.
template <int kByte>
__device__ inline float eight_bits(uint32_t word) {
  return __uint_as_float(__byte_perm(word, 0x4B000000u, 0x7650u + kByte)) - 8388608.0f;
}

// x = scale · code + offset of four bytes: two of the low row, two of the high one.
__device__ inline void half_of_int8(
    uint32_t& of_low, uint32_t& of_high, uint32_t word, const float2& low, const float2& high) {
  of_low =
      pack_bf16(fmaf(low.x, eight_bits<0>(word), low.y), fmaf(low.x, eight_bits<1>(word), low.y));
  of_high = pack_bf16(fmaf(high.x, eight_bits<2>(word), high.y),
                      fmaf(high.x, eight_bits<3>(word), high.y));
}
__device__ inline uint4 tile_of_int8(uint32_t first,
                                     uint32_t second,
                                     const float2& low,
                                     const float2& high) {
  uint4 a;
  half_of_int8(a.x, a.y, first, low, high);
  half_of_int8(a.z, a.w, second, low, high);
  return a;
}

__device__ inline uint32_t pair_of_e4m3(uint32_t two, float scale) {
  const __half2_raw halves =
      __nv_cvt_fp8x2_to_halfraw2(static_cast<__nv_fp8x2_storage_t>(two), __NV_E4M3);
  const float2 numbers = __half22float2(__half2(halves));
  return pack_bf16(scale * numbers.x, scale * numbers.y);
}
__device__ inline uint4 tile_of_e4m3(uint32_t first, uint32_t second, float low, float high) {
  return {pair_of_e4m3(first & 0xFFFFu, low),
          pair_of_e4m3(first >> 16, high),
          pair_of_e4m3(second & 0xFFFFu, low),
          pair_of_e4m3(second >> 16, high)};
}

// A unit's two tiles.
template <Coding kCoding>
__device__ inline void load_unit(uint4& first, uint4& second, const uint8_t* unit) {
  const int lane = threadIdx.x % 32;
  const auto* const scales = reinterpret_cast<const float2*>(unit + scales_at(kCoding)) + lane / 4;
  const float2 low = scales[0], high = scales[8];
  if constexpr (kCoding == Coding::int4) {
    const uint2 codes = reinterpret_cast<const uint2*>(unit)[lane];
    first = tile_of_int4(codes.x, low, high);
    second = tile_of_int4(codes.y, low, high);
  } else {
    const uint4 codes = reinterpret_cast<const uint4*>(unit)[lane];
    if constexpr (kCoding == Coding::int8) {
      first = tile_of_int8(codes.x, codes.y, low, high);
      second = tile_of_int8(codes.z, codes.w, low, high);
    } else if constexpr (kCoding == Coding::int8_halves) {
      // s · (code - 32), which is exact until it is rounded, as is -32 s.
      first = tile_of_int8(codes.x, codes.y, {low.x, -32 * low.x}, {high.x, -32 * high.x});
      second = tile_of_int8(codes.z, codes.w, {low.y, -32 * low.y}, {high.y, -32 * high.y});
    } else {
      first = tile_of_e4m3(codes.x, codes.y, low.x, high.x);
      second = tile_of_e4m3(codes.z, codes.w, low.x, high.x);
    }
  }
}

// body(CodingIs<coding>{}): one piece of code for each coding, chosen outside of its loops,
// which would not fit the instruction caches otherwise. The coding is the same for all lanes.
template <Coding kCoding>
struct CodingIs {
  static constexpr Coding value = kCoding;
};
template <bool kCodes, typename Body>
__device__ inline void with_coding(Coding coding, const Body& body) {
  if constexpr (!kCodes) {
    body(CodingIs<Coding::none>{});
  } else if (coding == Coding::int4) {
    body(CodingIs<Coding::int4>{});
  } else if (coding == Coding::int8) {
    body(CodingIs<Coding::int8>{});
  } else if (coding == Coding::int8_halves) {
    body(CodingIs<Coding::int8_halves>{});
  } else {
    body(CodingIs<Coding::e4m3>{});
  }
}

}  // namespace qwen3::cuda
