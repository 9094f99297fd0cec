// LoopGuard: notices that a generation repeats itself and will not come back.
//
// Every token is compared with the one p places before it, for each period p up to max_period; a
// period whose comparisons have held for a whole stretch is a loop:
//
//   … a b c a b c a b c     period 3, repeated 3 times, 9 tokens
//
// A stretch counts when it is at least min_tokens long and holds its period at least min_repeats
// times. The defaults are far beyond what answers contain on purpose (a table of zeros, a row of
// dashes): 1,024 tokens, 16 times. A model that loops does so until its limit.
#pragma once

#include <cstdint>
#include <vector>

namespace qwen3::server {

struct LoopGuardOptions {
  int64_t min_tokens = 1024;  // 0: never a loop
  int64_t min_repeats = 16;
  int64_t max_period = 256;
};

class LoopGuard {
 public:
  explicit LoopGuard(const LoopGuardOptions& options);
  // True from the token on that completes a loop.
  bool push(int32_t token_id);

 private:
  LoopGuardOptions options_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> held_;  // by period: for how many tokens the comparison has held
  bool looping_ = false;
};

}  // namespace qwen3::server
