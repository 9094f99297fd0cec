// The layout of quantised weights on processors, which block_panels.cpp writes and isa/block_kernel.h
// reads. A panel of 16 outputs has two regions, each padded to a cache line: first what blocks of
// inputs share (heads), then the codes, 32 inputs after 32. Both keep the bits of the file, in an
// order in which one register holds the same inputs of 16 outputs:
//
//   bytes     8 steps of [16 outputs][4 inputs], a byte each
//   nibbles   4 steps of [16][4]: the low nibble is one of inputs 8j … 8j + 3, the high one the input
//             four further on
//   two bits  2 steps of [16][4]: two bits from 2s on are inputs 16j + 4s … 16j + 4s + 3; the third bit of three
//             as below
//   pairs     16 steps of [16 outputs][2 inputs], a byte each: e4m3
//   bit 4     of 5 and 6 bits: [16][4] bytes, bit s (two bits from 2s on, in two halves of 16 inputs)
//             belongs to input 4s + byte
//
// A code is a float of 8 bits (e4m3), or unsigned, or, where the format's numbers are those of a table, the place of one in it (plus the bias,
// they are bytes). The number is scale * (code - bias) + offset. Heads, for 16 outputs each:
//   half scale [, half offset]                                            Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL
//   half d, half dmin, then for each of 8 groups a byte of scale and of minimum            Q4_K Q5_K
//   half d, 32 bytes of nothing, then for each of 16 groups a signed byte of scale         Q3_K Q6_K
//   half d, half dmin, then for each of 16 groups a nibble of scale and one of minimum          Q2_K
//   half d, then for each of 8 groups a signed byte of scale                                  IQ4_XS
//   a byte e: the scale is 2^(e - 128)                                                         MXFP4
//   float scale, float offset                                                        affine4 affine8
//   float scale, of 32 or 128 inputs                                                              fp8
#pragma once

#include <cstdint>

namespace qwen3::cpu {

constexpr int64_t kBlockGroup = 32;  // inputs whose activations share a scale

enum class Codes : uint8_t {
  bytes,
  nibbles,
  nibbles_and_bit,
  nibbles_and_two_bits,
  two_bits,
  two_bits_and_bit,
  iq4,   // nibbles, places in a table
  e2m1,  // the same
  e4m3,
};
enum class Heads : uint8_t {
  half,
  half_offset,
  k_with_minimum,
  k_signed,
  k_nibbles,
  xs_signed,
  exponent,
  single_offset,
  single,
};

// The numbers of IQ4_NL and IQ4_XS plus 127, and twice those of e2m1 plus 12.
alignas(64) constexpr uint8_t kIq4[16] = {
    0, 23, 44, 62, 78, 92, 105, 117, 128, 140, 152, 165, 180, 196, 216, 240};
alignas(64) constexpr uint8_t kE2m1[16] = {
    12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
static constexpr const uint8_t* table_of(Codes codes) {
  return codes == Codes::iq4 ? kIq4 : codes == Codes::e2m1 ? kE2m1 : nullptr;
}

struct BlockLayout {
  Codes codes;
  Heads heads;
  int32_t bias;
  int32_t head_inputs;  // that share a head
};

static constexpr int64_t code_bytes(Codes codes) {
  return codes == Codes::bytes                  ? 512
         : codes == Codes::e4m3                 ? 512
         : codes == Codes::nibbles_and_bit      ? 320
         : codes == Codes::nibbles_and_two_bits ? 384
         : codes == Codes::two_bits             ? 128
         : codes == Codes::two_bits_and_bit     ? 192
                                                : 256;
}
static constexpr int64_t head_bytes(Heads heads) {
  return heads == Heads::exponent        ? 16
         : heads == Heads::half          ? 32
         : heads == Heads::half_offset   ? 64
         : heads == Heads::single        ? 64
         : heads == Heads::single_offset ? 128
         : heads == Heads::xs_signed     ? 160
                                         : 320;
}

enum class Blocks : uint8_t {
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  mxfp4,
  affine4,
  affine8,
  fp8,
  fp8_128,
};
constexpr BlockLayout kBlockLayouts[] = {{Codes::nibbles, Heads::half, 8, 32},
                                         {Codes::nibbles, Heads::half_offset, 0, 32},
                                         {Codes::nibbles_and_bit, Heads::half, 16, 32},
                                         {Codes::nibbles_and_bit, Heads::half_offset, 0, 32},
                                         {Codes::bytes, Heads::half, 128, 32},
                                         {Codes::two_bits, Heads::k_nibbles, 0, 256},
                                         {Codes::two_bits_and_bit, Heads::k_signed, 4, 256},
                                         {Codes::nibbles, Heads::k_with_minimum, 0, 256},
                                         {Codes::nibbles_and_bit, Heads::k_with_minimum, 0, 256},
                                         {Codes::nibbles_and_two_bits, Heads::k_signed, 32, 256},
                                         {Codes::iq4, Heads::half, 127, 32},
                                         {Codes::iq4, Heads::xs_signed, 127, 256},
                                         {Codes::e2m1, Heads::exponent, 12, 32},
                                         {Codes::nibbles, Heads::single_offset, 0, 32},
                                         {Codes::bytes, Heads::single_offset, 0, 32},
                                         {Codes::e4m3, Heads::single, 0, 32},
                                         {Codes::e4m3, Heads::single, 0, 128}};
constexpr int kBlocks = sizeof kBlockLayouts / sizeof kBlockLayouts[0];
static constexpr const BlockLayout& layout_of(Blocks blocks) {
  return kBlockLayouts[static_cast<int>(blocks)];
}

static constexpr int64_t head_region(const BlockLayout& layout, int64_t n_in) {
  return (n_in / layout.head_inputs * head_bytes(layout.heads) + 63) / 64 * 64;
}
static constexpr int64_t block_panel_bytes(const BlockLayout& layout, int64_t n_in) {
  return head_region(layout, n_in) + n_in / kBlockGroup * code_bytes(layout.codes);
}

// Activations for quantised weights: a row of int8, then what each 32 of them share. A row's numbers
// depend on that row alone.
struct ActivationGroup {
  float scale;       // largest magnitude / 127
  float scaled_sum;  // scale * (sum[0] + sum[1])
  int32_t sum[2];    // of each 16
};
static constexpr int64_t activation_row_bytes(int64_t n_in) {
  return n_in + n_in / kBlockGroup * int64_t{sizeof(ActivationGroup)};
}

}  // namespace qwen3::cpu
