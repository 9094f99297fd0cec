// One expert block on its own, with numbers small enough to check by hand: hidden size 2, four
// experts, two chosen, weights renormalised. Every "expert" is a 2×2 matrix of ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace qwen3::cli {

struct MoeBlockCase {
  int64_t batch = 0, length = 0;
  std::vector<float> x;  // [batch · length, 2]
};

struct MoeBlockResult {
  std::vector<float> router_logits;  // [n_tokens, 4]
  std::vector<float> weights;        // [n_tokens, 2]
  std::vector<int32_t> experts;      // [n_tokens, 2]
  struct Visit {
    int32_t expert;
    std::vector<int32_t> tokens;
  };
  std::vector<Visit> visits;  // ascending experts that some token chose
  std::vector<float> output;  // [n_tokens, 2]
};

std::vector<MoeBlockCase> moe_block_cases();
MoeBlockResult run_moe_block(const MoeBlockCase& input);

// All three cases, each step printed.
std::string moe_block_demo(bool english);

}  // namespace qwen3::cli
