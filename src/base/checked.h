// Overflow-safe arithmetic on sizes that come from files and requests.
#pragma once

#include <cstdint>
#include <optional>

namespace qwen3 {

// a + b and a * b, or nothing when the result does not fit int64_t or an operand is negative.
inline std::optional<int64_t> checked_add(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<int64_t> checked_mul(int64_t a, int64_t b) {
  int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// n rounded up to a multiple of `multiple` (a positive number); n must be far below 2^63.
constexpr int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

constexpr int64_t ceil_div(int64_t n, int64_t divisor) { return (n + divisor - 1) / divisor; }

}  // namespace qwen3
