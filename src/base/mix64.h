// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
#pragma once

#include <cstdint>

namespace qwen3 {

constexpr uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace qwen3
