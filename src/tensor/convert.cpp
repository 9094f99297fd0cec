#include "tensor/convert.h"

#include <cassert>
#include <cstring>

namespace qwen3 {
namespace {

float widen(DType type, uint16_t bits) {
  return type == DType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

uint16_t narrow(DType type, float value) {
  return type == DType::bf16 ? f32_to_bf16(value) : f32_to_f16(value);
}

}  // namespace

void convert_elements(void* to, DType to_type, const void* from, DType from_type, int64_t n) {
  assert(to_type != DType::i32 && from_type != DType::i32);
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
