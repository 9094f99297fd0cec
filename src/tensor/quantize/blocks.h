// The blocks one by one: x and w (weights of the squared errors, of which some is above 0) are of one
// block. tensor/quantize.h is what others call.
#pragma once

#include <cstdint>
#include <cstring>

#include "tensor/convert.h"

namespace qwen3::quantization {

inline constexpr int kSmall = 32, kSuper = 256;  // elements of a block

void q4_0(uint8_t* block, const float* x, const float* w);
void q4_1(uint8_t* block, const float* x, const float* w);
void q5_0(uint8_t* block, const float* x, const float* w);
void q5_1(uint8_t* block, const float* x, const float* w);
void q8_0(uint8_t* block, const float* x, const float* w);
void q4_k(uint8_t* block, const float* x, const float* w);
void q5_k(uint8_t* block, const float* x, const float* w);
void q6_k(uint8_t* block, const float* x, const float* w);

inline uint16_t half_bits(float value) {
  uint16_t bits;
  convert_elements(&bits, DType::f16, &value, DType::f32, 1);
  return bits;
}

// What a float16 field makes of a number.
inline float as_half(float value) {
  const uint16_t bits = half_bits(value);
  float back;
  convert_elements(&back, DType::f32, &bits, DType::f16, 1);
  return back;
}

inline void put_half(uint8_t* at, float value) {
  const uint16_t bits = half_bits(value);
  std::memcpy(at, &bits, sizeof bits);
}

}  // namespace qwen3::quantization
