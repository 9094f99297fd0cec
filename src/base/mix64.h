// SplitMix64 (Steele, Lea, Flood 2014): a counter that goes up by kGoldenRatio64, and a finaliser that
// scatters it. Every input bit reaches every output bit, and no two inputs give the same output.
#pragma once

#include <cstdint>

namespace qwen3 {

inline constexpr uint64_t kGoldenRatio64 = 0x9E3779B97F4A7C15;

// The finaliser.
constexpr uint64_t scatter64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// The number that the counter at x gives.
constexpr uint64_t mix64(uint64_t x) { return scatter64(x + kGoldenRatio64); }

}  // namespace qwen3
