// The labels of decisions (decision.h) as tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "qwen3/text.h"

namespace qwen3::server {

inline constexpr size_t kMaxOptions = 26;
inline constexpr size_t kMaxLevels = 10;

// -1 where a label is not one token of its own behind a prompt.
struct DecisionLabels {
  std::vector<int32_t> letters = {}, digits = {};
  int32_t yes = -1, no = -1;
};

DecisionLabels decision_labels(const Text& text);

}  // namespace qwen3::server
