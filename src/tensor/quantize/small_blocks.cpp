// Q4_0 Q4_1 Q5_0 Q5_1 Q8_0: 32 elements with a scale of their own.
#include "tensor/quantize/blocks.h"
#include "tensor/quantize/fit.h"

namespace qwen3::quantization {
namespace {

// As far as float16 goes: the fitted scale, and the one that takes the largest magnitude to the end.
float fit_half_scale(const float* x, const float* w, Codes codes, Reach reach) {
  const float end = std::max(codes.high, -codes.low);
  const float plain = as_half(largest_magnitude<kSmall>(x) / end);
  const float fitted = as_half(fit_scale<kSmall>(x, w, codes, reach));
  const bool better =
      scale_error<kSmall>(x, w, fitted, codes) <= scale_error<kSmall>(x, w, plain, codes);
  return better ? fitted : plain;
}

void symmetric(int* q, uint8_t* block, const float* x, const float* w, Codes codes, Reach reach) {
  const float scale = fit_half_scale(x, w, codes, reach);
  put_half(block, scale);
  const float inv = inverse(scale);
  for (int i = 0; i < kSmall; ++i) {
    q[i] = static_cast<int>(nearest_in(x[i] * inv, codes.low, codes.high) - codes.low);
  }
}

// The offset that is best once the scale is a float16.
Affine with_half_fields(const float* x, const float* w, Affine a, float top) {
  a.scale = as_half(a.scale);
  const Moments s = moments_of<kSmall>(x, w, a, top);
  const Affine refitted = {a.scale, as_half((a.scale * s.wq - s.wx) / s.w)};
  a.min = as_half(a.min);
  return affine_error<kSmall>(x, w, refitted, top) < affine_error<kSmall>(x, w, a, top) ? refitted
                                                                                        : a;
}

void affine(int* q, uint8_t* block, const float* x, const float* w, float top) {
  const Affine a = with_half_fields(x, w, fit_affine<kSmall>(x, w, top, Min::any), top);
  put_half(block, a.scale);
  put_half(block + 2, -a.min);
  const float inv = inverse(a.scale);
  for (int i = 0; i < kSmall; ++i)
    q[i] = static_cast<int>(nearest_in((x[i] + a.min) * inv, 0, top));
}

void put_nibbles(uint8_t* to, const int* q) {
  for (int i = 0; i < 16; ++i) to[i] = static_cast<uint8_t>((q[i] & 15) | (q[i + 16] & 15) << 4);
}

void put_fifth_bits(uint8_t* to, const int* q) {
  uint32_t bits = 0;
  for (int i = 0; i < kSmall; ++i) bits |= static_cast<uint32_t>(q[i] >> 4) << i;
  std::memcpy(to, &bits, sizeof bits);
}

}  // namespace

void q4_0(uint8_t* block, const float* x, const float* w) {
  int q[kSmall];
  symmetric(q, block, x, w, {-8, 7}, {-2, 6, 0.25f});
  put_nibbles(block + 2, q);
}

void q4_1(uint8_t* block, const float* x, const float* w) {
  int q[kSmall];
  affine(q, block, x, w, 15);
  put_nibbles(block + 4, q);
}

void q5_0(uint8_t* block, const float* x, const float* w) {
  int q[kSmall];
  symmetric(q, block, x, w, {-16, 15}, {-2, 8, 0.25f});
  put_fifth_bits(block + 2, q);
  put_nibbles(block + 6, q);
}

void q5_1(uint8_t* block, const float* x, const float* w) {
  int q[kSmall];
  affine(q, block, x, w, 31);
  put_fifth_bits(block + 4, q);
  put_nibbles(block + 8, q);
}

void q8_0(uint8_t* block, const float* x, const float* w) {
  constexpr Codes kCodes = {-127, 127};
  int q[kSmall];
  symmetric(q, block, x, w, kCodes, {-3, 3, 0.25f});
  for (int i = 0; i < kSmall; ++i) {
    block[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(q[i] + static_cast<int>(kCodes.low)));
  }
}

}  // namespace qwen3::quantization
