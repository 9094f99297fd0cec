// Weights in codes (layout.h) on their way into matrix instructions: a unit's two tiles in a warp's registers,
// as load of a tile in fragments would give them. The arithmetic is that of code_value(), number by number.
//
// What it costs counts: with one row of activations a multiprocessor has some 4 instructions a lane for each
// weight while its bytes come. So 4 bits become a pair of bfloat16
// at a time, by one bit operation, as numbers without an exponent of their own; scales are bfloat16 and have
// the exponent for them, so that one fused step makes the pair's numbers.
#pragma once

#include <cuda_fp8.h>

#include "kernels/cuda/device.cuh"

namespace qwen3::cuda {

// A row's scale and offset, each twice.
struct PairScales {
  __nv_bfloat162 scale, offset;
};
__device__ inline __nv_bfloat162 as_pair(uint32_t bits) {
  return reinterpret_cast<const __nv_bfloat162&>(bits);
}
__device__ inline PairScales twice(uint32_t scales) {
  return {as_pair(__byte_perm(scales, 0, 0x1010)), as_pair(__byte_perm(scales, 0, 0x3232))};
}

// scale · code + offset of two codes where they stand (layout.h), rounded once.
__device__ inline uint32_t pair_of_int4(uint32_t codes, const PairScales& row) {
  const __nv_bfloat162 pair = __hfma2(as_pair(codes), row.scale, row.offset);
  return reinterpret_cast<const uint32_t&>(pair);
}
__device__ inline uint4 tile_of_int4(uint32_t word, const PairScales& low, const PairScales& high) {
  const uint32_t upper = word >> 8;
  return {pair_of_int4(word & 0x000F000Fu, low),
          pair_of_int4(word & 0x00F000F0u, high),
          pair_of_int4(upper & 0x000F000Fu, low),
          pair_of_int4(upper & 0x00F000F0u, high)};
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

// A lane's part of a unit: its codes, and the scales of its two rows.
template <Coding kCoding>
struct CodedUnit {
  uint4 codes;
  float2 low, high;

  __device__ void load(const uint8_t* unit) {
    const int lane = threadIdx.x % 32;
    const auto* const scales =
        reinterpret_cast<const float2*>(unit + scales_at(kCoding)) + lane / 4;
    codes = reinterpret_cast<const uint4*>(unit)[lane];
    low = scales[0];
    high = scales[8];
  }
  template <int kHalf>
  __device__ uint4 tile() const {
    const uint32_t first = kHalf == 0 ? codes.x : codes.z, second = kHalf == 0 ? codes.y : codes.w;
    if constexpr (kCoding == Coding::int8) {
      return tile_of_int8(first, second, low, high);
    } else if constexpr (kCoding == Coding::int8_halves) {
      // s · (code - 32), which is exact until it is rounded, as is -32 s.
      const float a = kHalf == 0 ? low.x : low.y, b = kHalf == 0 ? high.x : high.y;
      return tile_of_int8(first, second, {a, -32 * a}, {b, -32 * b});
    } else {
      return tile_of_e4m3(first, second, low.x, high.x);
    }
  }
};
template <>
struct CodedUnit<Coding::int4> {
  uint2 codes;
  uint32_t low, high;

  __device__ void load(const uint8_t* unit) {
    const int lane = threadIdx.x % 32;
    const auto* const scales =
        reinterpret_cast<const uint32_t*>(unit + scales_at(Coding::int4)) + lane / 4;
    codes = reinterpret_cast<const uint2*>(unit)[lane];
    low = scales[0];
    high = scales[8];
  }
  template <int kHalf>
  __device__ uint4 tile() const {
    return tile_of_int4(kHalf == 0 ? codes.x : codes.y, twice(low), twice(high));
  }
};

// A unit's two tiles.
template <Coding kCoding>
__device__ inline void load_unit(uint4& first, uint4& second, const uint8_t* unit) {
  CodedUnit<kCoding> coded;
  coded.load(unit);
  first = coded.template tile<0>();
  second = coded.template tile<1>();
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
