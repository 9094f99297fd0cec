#include "tensor/blocks.h"

#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/convert.h"

namespace qwen3 {
namespace {

constexpr int kSmall = 32, kSuper = 256;  // elements of a block

constexpr std::array<float, 16> kNonLinear = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// Twice the numbers of e2m1.
constexpr std::array<float, 16> kE2m1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

template <typename T>
T read_at(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

float half_at(const uint8_t* p) { return f16_to_f32(read_at<uint16_t>(p)); }

// ---- codes: q[i] of all elements of block b -----------------------------------------------------

// Of 32 elements in 16 bytes: low nibbles first.
void read_nibbles(uint8_t* q, const uint8_t* from) {
  for (int i = 0; i < 16; ++i) {
    q[i] = from[i] & 15;
    q[i + 16] = from[i] >> 4;
  }
}

template <int kAt>
void nibbles(uint8_t* q, const uint8_t* b) {
  read_nibbles(q, b + kAt);
}

template <int kHighAt, int kAt>
void five_bits(uint8_t* q, const uint8_t* b) {
  read_nibbles(q, b + kAt);
  const auto high = read_at<uint32_t>(b + kHighAt);
  for (int i = 0; i < kSmall; ++i) q[i] = static_cast<uint8_t>(q[i] | (high >> i & 1) << 4);
}

template <int kAt, int kCount = kSmall>
void bytes(uint8_t* q, const uint8_t* b) {
  std::memcpy(q, b + kAt, kCount);
}

void q8_0_codes(uint8_t* q, const uint8_t* b) {
  for (int i = 0; i < kSmall; ++i) q[i] = b[2 + i] ^ 0x80;
}

// Two bits of element i, as Q2_K and Q3_K place them.
int two_bits(const uint8_t* qs, int i) {
  return qs[32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4)) & 3;
}

void q2_k_codes(uint8_t* q, const uint8_t* b) {
  for (int i = 0; i < kSuper; ++i) q[i] = static_cast<uint8_t>(two_bits(b + 16, i));
}

void q3_k_codes(uint8_t* q, const uint8_t* b) {
  for (int i = 0; i < kSuper; ++i) {
    q[i] = static_cast<uint8_t>(two_bits(b + 32, i) | (b[i % 32] >> (i / 32) & 1) << 2);
  }
}

// Groups of 32, two of them in 32 bytes.
void read_k_nibbles(uint8_t* q, const uint8_t* qs) {
  for (int g = 0; g < 8; ++g) {
    for (int l = 0; l < 32; ++l) q[32 * g + l] = qs[32 * (g / 2) + l] >> (4 * (g % 2)) & 15;
  }
}

void q4_k_codes(uint8_t* q, const uint8_t* b) { read_k_nibbles(q, b + 16); }

void q5_k_codes(uint8_t* q, const uint8_t* b) {
  read_k_nibbles(q, b + 48);
  for (int i = 0; i < kSuper; ++i) {
    q[i] = static_cast<uint8_t>(q[i] | (b[16 + i % 32] >> (i / 32) & 1) << 4);
  }
}

void q6_k_codes(uint8_t* q, const uint8_t* b) {
  for (int i = 0; i < kSuper; ++i) {
    const int h = i / 128, k = i / 32 % 4, l = i % 32;
    const int low = b[64 * h + 32 * (k % 2) + l] >> (4 * (k / 2)) & 15;
    const int high = b[128 + 32 * h + l] >> (2 * k) & 3;
    q[i] = static_cast<uint8_t>(low | high << 4);
  }
}

void iq4_xs_codes(uint8_t* q, const uint8_t* b) {
  for (int g = 0; g < 8; ++g) read_nibbles(q + 32 * g, b + 8 + 16 * g);
}

// ---- values: y[i] of the codes and of what the block shares --------------------------------------

template <int kBias>
void scaled(float* y, const uint8_t* b, const uint8_t* q) {
  const float d = half_at(b);
  for (int i = 0; i < kSmall; ++i) y[i] = d * static_cast<float>(q[i] - kBias);
}

void scaled_with_offset(float* y, const uint8_t* b, const uint8_t* q) {
  const float d = half_at(b), m = half_at(b + 2);
  for (int i = 0; i < kSmall; ++i) y[i] = d * static_cast<float>(q[i]) + m;
}

void q2_k(float* y, const uint8_t* b, const uint8_t* q) {
  const float d = half_at(b + 80), dmin = half_at(b + 82);
  for (int i = 0; i < kSuper; ++i) {
    const int scales = b[i / 16];
    y[i] = d * static_cast<float>((scales & 15) * q[i]) - dmin * static_cast<float>(scales >> 4);
  }
}

void q3_k(float* y, const uint8_t* b, const uint8_t* q) {
  const float d = half_at(b + 108);
  for (int i = 0; i < kSuper; ++i) {
    y[i] = d * static_cast<float>(q3_k_scale(b, i / 16)) * static_cast<float>(q[i] - 4);
  }
}

void q45_k(float* y, const uint8_t* b, const uint8_t* q) {
  const float d = half_at(b), dmin = half_at(b + 2);
  for (int g = 0; g < 8; ++g) {
    const auto [scale, min] = six_bit_scales(b + 4, g);
    const float offset = dmin * static_cast<float>(min);
    for (int i = 32 * g; i < 32 * g + 32; ++i) {
      y[i] = d * static_cast<float>(scale * q[i]) - offset;
    }
  }
}

void q6_k(float* y, const uint8_t* b, const uint8_t* q) {
  const float d = half_at(b + 208);
  for (int i = 0; i < kSuper; ++i) {
    const int scale = static_cast<int8_t>(b[192 + i / 16]);
    y[i] = d * static_cast<float>(scale) * static_cast<float>(q[i] - 32);
  }
}

void iq4_nl(float* y, const uint8_t* b, const uint8_t* q) {
  const float d = half_at(b);
  for (int i = 0; i < kSmall; ++i) y[i] = d * kNonLinear[q[i]];
}

void iq4_xs(float* y, const uint8_t* b, const uint8_t* q) {
  const float d = half_at(b);
  for (int g = 0; g < 8; ++g) {
    const float dl = d * static_cast<float>(iq4_xs_scale(b, g));
    for (int i = 32 * g; i < 32 * g + 32; ++i) y[i] = dl * kNonLinear[q[i]];
  }
}

void mxfp4(float* y, const uint8_t* b, const uint8_t* q) {
  const float d = std::ldexp(1.0f, b[0] - 128);
  for (int i = 0; i < kSmall; ++i) y[i] = d * kE2m1[q[i]];
}

struct AffineHead {
  float scale, offset;
  int32_t zero;
};

void affine(float* y, const uint8_t* b, const uint8_t* q) {
  const auto head = read_at<AffineHead>(b);
  for (int i = 0; i < kSmall; ++i) {
    y[i] = head.scale * static_cast<float>(q[i] - head.zero) + head.offset;
  }
}

template <int kCount>
void fp8(float* y, const uint8_t* b, const uint8_t* q) {
  const auto scale = read_at<float>(b);
  for (int i = 0; i < kCount; ++i) y[i] = scale * e4m3_to_f32(q[i]);
}

// ---- whether all values are finite --------------------------------------------------------------

bool finite_half(const uint8_t* p) { return (read_at<uint16_t>(p) & 0x7C00) != 0x7C00; }

template <int kAt>
bool finite_scale(const uint8_t* b) {
  return finite_half(b + kAt);
}

template <int kAt>
bool finite_scale_and_offset(const uint8_t* b) {
  return finite_half(b + kAt) && finite_half(b + kAt + 2);
}

bool finite_mxfp4(const uint8_t* b) { return b[0] <= 252; }  // above, 12 times the scale overflows

bool finite_affine(const uint8_t* b) {
  const auto head = read_at<AffineHead>(b);
  const float reach = 256.0f + std::abs(static_cast<float>(head.zero));
  return std::isfinite(std::abs(head.scale) * reach + std::abs(head.offset));
}

template <int kCount>
bool finite_fp8(const uint8_t* b) {
  if (!std::isfinite(read_at<float>(b) * 448.0f)) return false;
  for (int i = 0; i < kCount; ++i) {
    if ((b[4 + i] & 0x7F) == 0x7F) return false;
  }
  return true;
}

struct BlockRules {
  void (*codes)(uint8_t* q, const uint8_t* b);
  void (*values)(float* y, const uint8_t* b, const uint8_t* q);
  bool (*finite)(const uint8_t* b);
};

BlockRules rules_of(WeightType type) {
  switch (type) {
    case WeightType::f32:
    case WeightType::bf16:
    case WeightType::f16:
      break;
    case WeightType::q4_0:
      return {nibbles<2>, scaled<8>, finite_scale<0>};
    case WeightType::q4_1:
      return {nibbles<4>, scaled_with_offset, finite_scale_and_offset<0>};
    case WeightType::q5_0:
      return {five_bits<2, 6>, scaled<16>, finite_scale<0>};
    case WeightType::q5_1:
      return {five_bits<4, 8>, scaled_with_offset, finite_scale_and_offset<0>};
    case WeightType::q8_0:
      return {q8_0_codes, scaled<128>, finite_scale<0>};
    case WeightType::q2_k:
      return {q2_k_codes, q2_k, finite_scale_and_offset<80>};
    case WeightType::q3_k:
      return {q3_k_codes, q3_k, finite_scale<108>};
    case WeightType::q4_k:
      return {q4_k_codes, q45_k, finite_scale_and_offset<0>};
    case WeightType::q5_k:
      return {q5_k_codes, q45_k, finite_scale_and_offset<0>};
    case WeightType::q6_k:
      return {q6_k_codes, q6_k, finite_scale<208>};
    case WeightType::iq4_nl:
      return {nibbles<2>, iq4_nl, finite_scale<0>};
    case WeightType::iq4_xs:
      return {iq4_xs_codes, iq4_xs, finite_scale<0>};
    case WeightType::mxfp4:
      return {nibbles<1>, mxfp4, finite_mxfp4};
    case WeightType::affine4:
      return {nibbles<sizeof(AffineHead)>, affine, finite_affine};
    case WeightType::affine8:
      return {bytes<sizeof(AffineHead)>, affine, finite_affine};
    case WeightType::fp8:
      return {bytes<4>, fp8<kSmall>, finite_fp8<kSmall>};
    case WeightType::fp8_128:
      return {bytes<4, 128>, fp8<128>, finite_fp8<128>};
  }
  return {};
}

}  // namespace

SixBitScales six_bit_scales(const uint8_t* s, int group) {
  const auto byte = [](int value) { return static_cast<uint8_t>(value); };
  if (group < 4) return {byte(s[group] & 63), byte(s[group + 4] & 63)};
  return {byte((s[group + 4] & 15) | s[group - 4] >> 6 << 4),
          byte(s[group + 4] >> 4 | s[group] >> 6 << 4)};
}

int code_scale_group(WeightType type) {
  switch (type) {
    case WeightType::q2_k:
    case WeightType::q3_k:
    case WeightType::q6_k:
      return 16;
    case WeightType::q4_0:
    case WeightType::q4_1:
    case WeightType::q5_0:
    case WeightType::q5_1:
    case WeightType::q8_0:
    case WeightType::q4_k:
    case WeightType::q5_k:
    case WeightType::affine4:
    case WeightType::affine8:
    case WeightType::fp8:
    case WeightType::fp8_128:
      return 32;
    default:
      return 0;
  }
}

void code_scales(CodeScale* scales, WeightType type, const uint8_t* b) {
  const auto around = [&](float scale, float zero) { return CodeScale{scale, -zero * scale}; };
  switch (type) {
    case WeightType::q4_0:
      scales[0] = around(half_at(b), 8);
      return;
    case WeightType::q5_0:
      scales[0] = around(half_at(b), 16);
      return;
    case WeightType::q8_0:
      scales[0] = around(half_at(b), 128);
      return;
    case WeightType::q4_1:
    case WeightType::q5_1:
      scales[0] = {half_at(b), half_at(b + 2)};
      return;
    case WeightType::q2_k:
      for (int g = 0; g < 16; ++g) {
        scales[g] = {half_at(b + 80) * static_cast<float>(b[g] & 15),
                     -(half_at(b + 82) * static_cast<float>(b[g] >> 4))};
      }
      return;
    case WeightType::q3_k:
      for (int g = 0; g < 16; ++g) {
        scales[g] = around(half_at(b + 108) * static_cast<float>(q3_k_scale(b, g)), 4);
      }
      return;
    case WeightType::q4_k:
    case WeightType::q5_k:
      for (int g = 0; g < 8; ++g) {
        const auto [scale, min] = six_bit_scales(b + 4, g);
        scales[g] = {half_at(b) * static_cast<float>(scale),
                     -(half_at(b + 2) * static_cast<float>(min))};
      }
      return;
    case WeightType::q6_k:
      for (int g = 0; g < 16; ++g) {
        const auto scale = static_cast<float>(static_cast<int8_t>(b[192 + g]));
        scales[g] = around(half_at(b + 208) * scale, 32);
      }
      return;
    case WeightType::affine4:
    case WeightType::affine8: {
      const auto head = read_at<AffineHead>(b);
      scales[0] = {head.scale, head.offset - head.scale * static_cast<float>(head.zero)};
      return;
    }
    case WeightType::fp8:
      scales[0] = {read_at<float>(b), 0};
      return;
    case WeightType::fp8_128:
      for (int g = 0; g < 4; ++g) scales[g] = {read_at<float>(b), 0};
      return;
    default:
      assert(false);
  }
}

int q3_k_scale(const uint8_t* block, int group) {
  const uint8_t* const scales = block + 96;
  const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
  const int high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
  return (low | high << 4) - 32;
}

int iq4_xs_scale(const uint8_t* block, int group) {
  const int low = block[4 + group / 2] >> (4 * (group % 2)) & 15;
  return (low | (read_at<uint16_t>(block + 2) >> (2 * group) & 3) << 4) - 32;
}

float e4m3_to_f32(uint8_t bits) {
  static const std::array<float, 256> kTable = [] {
    std::array<float, 256> table{};
    for (int i = 0; i < 256; ++i) {
      const int exponent = i >> 3 & 15, mantissa = i & 7;
      float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                  : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
      if ((i & 0x7F) == 0x7F) value = std::numeric_limits<float>::quiet_NaN();
      table[static_cast<size_t>(i)] = (i & 0x80) != 0 ? -value : value;
    }
    return table;
  }();
  return kTable[bits];
}

void block_codes(uint8_t* codes, WeightType type, const uint8_t* block) {
  rules_of(type).codes(codes, block);
}

bool all_finite(WeightType type, const std::byte* from, int64_t n) {
  if (is_plain(type)) return all_finite(from, dtype_of(type), n);
  const auto [elements, bytes] = block_of(type);
  const auto finite_one = rules_of(type).finite;
  const auto* blocks = reinterpret_cast<const uint8_t*>(from);
  for (int64_t i = 0; i < n / elements; ++i) {
    if (!finite_one(blocks + i * bytes)) return false;
  }
  return true;
}

void widen(float* out, WeightType type, const std::byte* from, int64_t n) {
  if (is_plain(type)) {
    convert_elements(out, DType::f32, from, dtype_of(type), n);
    return;
  }
  const auto [elements, bytes] = block_of(type);
  assert(n % elements == 0);
  const BlockRules rules = rules_of(type);
  const auto* blocks = reinterpret_cast<const uint8_t*>(from);
  for (int64_t i = 0; i < n / elements; ++i) {
    uint8_t codes[kSuper];
    rules.codes(codes, blocks + i * bytes);
    rules.values(out + i * elements, blocks + i * bytes, codes);
  }
}

}  // namespace qwen3
