#include "server/api/loop_guard.h"

#include <algorithm>

namespace qwen3::server {

LoopGuard::LoopGuard(const LoopGuardOptions& options) : options_(options) {
  if (options_.min_tokens > 0) held_.resize(static_cast<size_t>(options_.max_period) + 1);
}

bool LoopGuard::push(int32_t token_id) {
  if (options_.min_tokens <= 0) return false;
  const size_t n = tokens_.size();
  const size_t longest = std::min(n, static_cast<size_t>(options_.max_period));
  const int32_t* end = tokens_.data() + n;
  for (size_t period = 1; period <= longest; ++period) {
    held_[period] = *(end - period) == token_id ? held_[period] + 1 : 0;
  }
  tokens_.push_back(token_id);
  for (size_t period = 1; period <= longest && !looping_; ++period) {
    const auto p = static_cast<int64_t>(period);
    looping_ = held_[period] + p >= std::max(options_.min_tokens, options_.min_repeats * p);
  }
  return looping_;
}

}  // namespace qwen3::server
