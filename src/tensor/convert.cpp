#include "tensor/convert.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <limits>

namespace qwen3 {
namespace {

float widen(DType type, uint16_t bits) {
  return type == DType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

uint16_t narrow(DType type, float value) {
  return type == DType::bf16 ? f32_to_bf16(value) : f32_to_f16(value);
}

// An exponent of ones, the largest there is, is what NaN and the infinities have and no other
// number has. The loop has no way out, so that it runs at the speed of the cache.
template <typename Bits>
bool none_reaches(const void* elements, Bits exponent, int64_t n) {
  constexpr Bits kWithoutSign = std::numeric_limits<Bits>::max();
  const auto* bytes = static_cast<const std::byte*>(elements);
  Bits largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    Bits bits;
    std::memcpy(&bits, bytes + i * int64_t{sizeof bits}, sizeof bits);
    largest = std::max(largest, static_cast<Bits>(bits & kWithoutSign));
  }
  return largest < exponent;
}

}  // namespace

bool all_finite(const void* elements, DType type, int64_t n) {
  switch (type) {
    case DType::f32:
      return none_reaches<int32_t>(elements, 0x7F80'0000, n);
    case DType::bf16:
      return none_reaches<int16_t>(elements, 0x7F80, n);
    case DType::f16:
      return none_reaches<int16_t>(elements, 0x7C00, n);
    case DType::i32:
    case DType::q8:
      return true;
  }
  return true;
}

void convert_elements(void* to, DType to_type, const void* from, DType from_type, int64_t n) {
  assert(to_type != DType::i32 && from_type != DType::i32);
  assert(to_type != DType::q8 && from_type != DType::q8);
  if (to_type == from_type) {
    std::memcpy(to, from, static_cast<size_t>(n * dtype_size(to_type)));
    return;
  }
  auto* to_f32 = static_cast<float*>(to);
  auto* to_u16 = static_cast<uint16_t*>(to);
  const auto* from_f32 = static_cast<const float*>(from);
  const auto* from_u16 = static_cast<const uint16_t*>(from);
  // The type tests do not vary inside a loop; the compiler takes them out of it.
  if (to_type == DType::f32) {
    for (int64_t i = 0; i < n; ++i) to_f32[i] = widen(from_type, from_u16[i]);
  } else if (from_type == DType::f32) {
    for (int64_t i = 0; i < n; ++i) to_u16[i] = narrow(to_type, from_f32[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) to_u16[i] = narrow(to_type, widen(from_type, from_u16[i]));
  }
}

}  // namespace qwen3
