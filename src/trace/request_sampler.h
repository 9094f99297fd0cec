// RequestSampler: which requests of a server are traced: a share of them, the same ones whenever
// the same numbers come with the same seed, scattered evenly over any stretch of numbers.
#pragma once

#include <cstdint>

#include "base/mix64.h"

namespace qwen3 {

class RequestSampler {
 public:
  // rate: 0 none, 1 all; what lies outside counts as the nearer end, and not-a-number as none.
  explicit RequestSampler(double rate, uint64_t seed = 0) : rate_(rate), seed_(mix64(seed)) {}

  bool should_trace(uint64_t request_number) const {
    const uint64_t bits = mix64(seed_ ^ mix64(request_number));
    return static_cast<double>(bits >> 11) * 0x1p-53 < rate_;  // [0, 1) < rate
  }

 private:
  double rate_;
  uint64_t seed_;
};

}  // namespace qwen3
