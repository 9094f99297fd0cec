#include "tensor/blocks.h"

#include <array>
#include <bit>
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

float half_at(const uint8_t* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return f16_to_f32(bits);
}

template <typename T>
T read_at(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// Element i of 32 in 16 bytes: low nibbles first.
int nibble(const uint8_t* q, int i) { return i < 16 ? q[i] & 15 : q[i - 16] >> 4; }

int fifth_bit(const uint8_t* qh, int i) {
  return static_cast<int>(read_at<uint32_t>(qh) >> i & 1) << 4;
}

void q4_0(float* y, const uint8_t* b) {
  const float d = half_at(b);
  for (int i = 0; i < kSmall; ++i) y[i] = d * static_cast<float>(nibble(b + 2, i) - 8);
}

void q4_1(float* y, const uint8_t* b) {
  const float d = half_at(b), m = half_at(b + 2);
  for (int i = 0; i < kSmall; ++i) y[i] = d * static_cast<float>(nibble(b + 4, i)) + m;
}

void q5_0(float* y, const uint8_t* b) {
  const float d = half_at(b);
  for (int i = 0; i < kSmall; ++i) {
    y[i] = d * static_cast<float>((nibble(b + 6, i) | fifth_bit(b + 2, i)) - 16);
  }
}

void q5_1(float* y, const uint8_t* b) {
  const float d = half_at(b), m = half_at(b + 2);
  for (int i = 0; i < kSmall; ++i) {
    y[i] = d * static_cast<float>(nibble(b + 8, i) | fifth_bit(b + 4, i)) + m;
  }
}

void q8_0(float* y, const uint8_t* b) {
  const float d = half_at(b);
  for (int i = 0; i < kSmall; ++i) y[i] = d * static_cast<float>(static_cast<int8_t>(b[2 + i]));
}

// Two bits of element i, as Q2_K and Q3_K place them.
int two_bits(const uint8_t* qs, int i) {
  return qs[32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4)) & 3;
}

void q2_k(float* y, const uint8_t* b) {
  const float d = half_at(b + 80), dmin = half_at(b + 82);
  for (int i = 0; i < kSuper; ++i) {
    const int scales = b[i / 16];
    y[i] = d * static_cast<float>((scales & 15) * two_bits(b + 16, i)) -
           dmin * static_cast<float>(scales >> 4);
  }
}

void q3_k(float* y, const uint8_t* b) {
  const uint8_t* const hmask = b;
  const uint8_t* const scales = b + 96;
  const float d = half_at(b + 108);
  for (int i = 0; i < kSuper; ++i) {
    const int g = i / 16;
    const int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
    const int high = scales[8 + g % 4] >> (2 * (g / 4)) & 3;
    const bool set = (hmask[i % 32] >> (i / 32) & 1) != 0;
    const int q = two_bits(b + 32, i) - (set ? 0 : 4);
    y[i] = d * static_cast<float>((low | high << 4) - 32) * static_cast<float>(q);
  }
}

struct ScaleAndMin {
  int scale, min;
};

// Group g of eight in the 12 bytes of Q4_K and Q5_K: six bits each.
ScaleAndMin six_bits(const uint8_t* s, int g) {
  if (g < 4) return {s[g] & 63, s[g + 4] & 63};
  return {(s[g + 4] & 15) | s[g - 4] >> 6 << 4, s[g + 4] >> 4 | s[g] >> 6 << 4};
}

void q45_k(float* y, const uint8_t* b, const uint8_t* qh, const uint8_t* qs) {
  const float d = half_at(b), dmin = half_at(b + 2);
  for (int g = 0; g < 8; ++g) {
    const auto [scale, min] = six_bits(b + 4, g);
    const float offset = dmin * static_cast<float>(min);
    for (int l = 0; l < 32; ++l) {
      int q = qs[32 * (g / 2) + l] >> (4 * (g % 2)) & 15;
      if (qh != nullptr) q |= (qh[l] >> g & 1) << 4;
      y[32 * g + l] = d * static_cast<float>(scale * q) - offset;
    }
  }
}

void q4_k(float* y, const uint8_t* b) { q45_k(y, b, nullptr, b + 16); }
void q5_k(float* y, const uint8_t* b) { q45_k(y, b, b + 16, b + 48); }

void q6_k(float* y, const uint8_t* b) {
  const uint8_t* const ql = b;
  const uint8_t* const qh = b + 128;
  const float d = half_at(b + 208);
  for (int i = 0; i < kSuper; ++i) {
    const int h = i / 128, k = i / 32 % 4, l = i % 32;
    const int low = ql[64 * h + 32 * (k % 2) + l] >> (4 * (k / 2)) & 15;
    const int high = qh[32 * h + l] >> (2 * k) & 3;
    const int scale = static_cast<int8_t>(b[192 + i / 16]);
    y[i] = d * static_cast<float>(scale) * static_cast<float>((low | high << 4) - 32);
  }
}

void iq4_nl(float* y, const uint8_t* b) {
  const float d = half_at(b);
  for (int i = 0; i < kSmall; ++i) y[i] = d * kNonLinear[static_cast<size_t>(nibble(b + 2, i))];
}

void iq4_xs(float* y, const uint8_t* b) {
  const float d = half_at(b);
  const int scales_high = read_at<uint16_t>(b + 2);
  for (int g = 0; g < 8; ++g) {
    const int low = b[4 + g / 2] >> (4 * (g % 2)) & 15;
    const int scale = (low | (scales_high >> (2 * g) & 3) << 4) - 32;
    const float dl = d * static_cast<float>(scale);
    for (int i = 0; i < 32; ++i) {
      y[32 * g + i] = dl * kNonLinear[static_cast<size_t>(nibble(b + 8 + 16 * g, i))];
    }
  }
}

void mxfp4(float* y, const uint8_t* b) {
  const float d = std::ldexp(1.0f, b[0] - 128);
  for (int i = 0; i < kSmall; ++i) y[i] = d * kE2m1[static_cast<size_t>(nibble(b + 1, i))];
}

struct AffineHead {
  float scale, offset;
  int32_t zero;
};

void affine4(float* y, const uint8_t* b) {
  const auto head = read_at<AffineHead>(b);
  for (int i = 0; i < kSmall; ++i) {
    const int q = nibble(b + sizeof head, i) - head.zero;
    y[i] = head.scale * static_cast<float>(q) + head.offset;
  }
}

void affine8(float* y, const uint8_t* b) {
  const auto head = read_at<AffineHead>(b);
  for (int i = 0; i < kSmall; ++i) {
    y[i] = head.scale * static_cast<float>(b[sizeof head + static_cast<size_t>(i)] - head.zero) +
           head.offset;
  }
}

float e4m3(int bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  if ((bits & 0x7F) == 0x7F) return std::numeric_limits<float>::quiet_NaN();
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

void fp8(float* y, const uint8_t* b) {
  static const std::array<float, 256> kTable = [] {
    std::array<float, 256> table{};
    for (int i = 0; i < 256; ++i) table[static_cast<size_t>(i)] = e4m3(i);
    return table;
  }();
  const auto scale = read_at<float>(b);
  for (int i = 0; i < kSmall; ++i) y[i] = scale * kTable[b[4 + i]];
}

using Widen = void (*)(float* y, const uint8_t* block);

Widen widen_block(WeightType type) {
  switch (type) {
    case WeightType::f32:
    case WeightType::bf16:
    case WeightType::f16:
      break;
    case WeightType::q4_0:
      return q4_0;
    case WeightType::q4_1:
      return q4_1;
    case WeightType::q5_0:
      return q5_0;
    case WeightType::q5_1:
      return q5_1;
    case WeightType::q8_0:
      return q8_0;
    case WeightType::q2_k:
      return q2_k;
    case WeightType::q3_k:
      return q3_k;
    case WeightType::q4_k:
      return q4_k;
    case WeightType::q5_k:
      return q5_k;
    case WeightType::q6_k:
      return q6_k;
    case WeightType::iq4_nl:
      return iq4_nl;
    case WeightType::iq4_xs:
      return iq4_xs;
    case WeightType::mxfp4:
      return mxfp4;
    case WeightType::affine4:
      return affine4;
    case WeightType::affine8:
      return affine8;
    case WeightType::fp8:
      return fp8;
  }
  return nullptr;
}

// Where the halves of a block lie: one, or two.
struct Halves {
  int first, second;
};

bool finite_half(const uint8_t* p) { return (read_at<uint16_t>(p) & 0x7C00) != 0x7C00; }

template <Halves kAt>
bool finite_halves(const uint8_t* b) {
  return finite_half(b + kAt.first) && finite_half(b + kAt.second);
}

bool finite_mxfp4(const uint8_t* b) { return b[0] <= 252; }  // above, 12 times the scale overflows

bool finite_affine(const uint8_t* b) {
  const auto head = read_at<AffineHead>(b);
  const float reach = 256.0f + std::abs(static_cast<float>(head.zero));
  return std::isfinite(std::abs(head.scale) * reach + std::abs(head.offset));
}

bool finite_fp8(const uint8_t* b) {
  if (!std::isfinite(read_at<float>(b) * 448.0f)) return false;
  for (int i = 0; i < kSmall; ++i) {
    if ((b[4 + i] & 0x7F) == 0x7F) return false;
  }
  return true;
}

using Finite = bool (*)(const uint8_t* block);

Finite finite_block(WeightType type) {
  switch (type) {
    case WeightType::f32:
    case WeightType::bf16:
    case WeightType::f16:
      break;
    case WeightType::q4_0:
    case WeightType::q5_0:
    case WeightType::q8_0:
    case WeightType::iq4_nl:
    case WeightType::iq4_xs:
      return finite_halves<Halves{0, 0}>;
    case WeightType::q4_1:
    case WeightType::q5_1:
    case WeightType::q4_k:
    case WeightType::q5_k:
      return finite_halves<Halves{0, 2}>;
    case WeightType::q2_k:
      return finite_halves<Halves{80, 82}>;
    case WeightType::q3_k:
      return finite_halves<Halves{108, 108}>;
    case WeightType::q6_k:
      return finite_halves<Halves{208, 208}>;
    case WeightType::mxfp4:
      return finite_mxfp4;
    case WeightType::affine4:
    case WeightType::affine8:
      return finite_affine;
    case WeightType::fp8:
      return finite_fp8;
  }
  return nullptr;
}

}  // namespace

bool all_finite(WeightType type, const std::byte* from, int64_t n) {
  if (is_plain(type)) return all_finite(from, dtype_of(type), n);
  const auto [elements, bytes] = block_of(type);
  const Finite finite_one = finite_block(type);
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
  const Widen widen_one = widen_block(type);
  const auto* blocks = reinterpret_cast<const uint8_t*>(from);
  for (int64_t i = 0; i < n / elements; ++i) widen_one(out + i * elements, blocks + i * bytes);
}

}  // namespace qwen3
