// What the numbers of a weight are: the one place that knows the blocks of every WeightType.
//
// GGUF's blocks are those of ggml (ggml-common.h, ggml-quants.c). The blocks of 32, or 128, into which
// sources put what safetensors spread over several tensors begin with what their elements share:
//
//   affine4   float32 scale, float32 offset, int32 zero, 16 bytes: element i is the low nibble of byte
//             i for i < 16, the high nibble of byte i - 16 above
//   affine8   float32 scale, float32 offset, int32 zero, 32 bytes of unsigned numbers
//   fp8       float32 scale, 32 bytes of e4m3 (bias 7, no infinities, 0x7F and 0xFF are NaN)
//   fp8_128   the same with 128 bytes
//
// An affine number is scale * (q - zero) + offset, a number of fp8 scale * e4m3(q). In every type a
// number is a product of short factors and at most one addition: rounded once, to the same float32 in
// whatever order and with or without fused multiply-adds. The sign of a zero is ggml's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/weight.h"

namespace qwen3 {

// out[i] = the i-th number of `from`, exactly, for i in [0, n). REQUIRES: whole blocks.
void widen(float* out, WeightType type, const std::byte* from, int64_t n);

// The stored numbers of a block as unsigned ones, in the order of the elements: what the scales are
// applied to, before a zero is taken off. Of Q8_0 they are 128 larger than the file's signed ones, of
// fp8 the bits.
void block_codes(uint8_t* codes, WeightType type, const uint8_t* block);

// What makes numbers of codes: scale * code + offset, rounded once, has the bits of widen() (to an ulp, where
// the product of an affine block's scale and zero is no float32). Of fp8 the code is e4m3, the offset 0.
struct CodeScale {
  float scale, offset;
};
// How many elements share a CodeScale: 16 or 32; 0: the codes are numbers of a table (IQ4, MXFP4), or the type is
// plain.
int code_scale_group(WeightType type);
// Of all groups of a block. REQUIRES: code_scale_group(type) > 0.
void code_scales(CodeScale* scales, WeightType type, const uint8_t* block);

// Of group `group` of the eight of Q4_K and Q5_K, in the 12 bytes of scales.
struct SixBitScales {
  uint8_t scale, min;
};
SixBitScales six_bit_scales(const uint8_t* scales, int group);

// Of a block of Q3_K: the scale of group `group` of 16; of IQ4_XS: of 8. In [-32, 31].
int q3_k_scale(const uint8_t* block, int group);
int iq4_xs_scale(const uint8_t* block, int group);

float e4m3_to_f32(uint8_t bits);

// Whether all of these n numbers are finite: plain ones are looked at one by one, blocks by what they
// share (and e4m3 for its NaN). REQUIRES: whole blocks.
bool all_finite(WeightType type, const std::byte* from, int64_t n);

}  // namespace qwen3
