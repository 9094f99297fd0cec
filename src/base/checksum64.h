// A 64-bit checksum of bytes: fast enough for every step's hidden state, and of four lanes, so that it
// is bound by memory rather than by the multiplier's latency. Against accidents, not against an enemy.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "base/mix64.h"

namespace qwen3 {

inline uint64_t checksum64(std::span<const std::byte> bytes) {
  constexpr uint64_t kPrime = 0x9E3779B97F4A7C15;
  uint64_t lanes[4] = {kPrime, kPrime << 1, kPrime << 2, kPrime << 3};
  const auto step = [](uint64_t lane, uint64_t word) {
    lane = (lane ^ word) * kPrime;
    return lane ^ lane >> 32;
  };
  size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    uint64_t words[4];
    std::memcpy(words, bytes.data() + at, 32);
    for (int i = 0; i < 4; ++i) lanes[i] = step(lanes[i], words[i]);
  }
  for (; at < bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, bytes.size() - at < 8 ? bytes.size() - at : 8);
    lanes[at / 8 % 4] = step(lanes[at / 8 % 4], word);
  }
  uint64_t sum = bytes.size();
  for (const uint64_t lane : lanes) sum = step(sum, mix64(lane));
  return sum;
}

}  // namespace qwen3
