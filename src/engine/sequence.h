// Sequence: one request inside the engine, from submission to its last event.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/prefix_cache.h"
#include "qwen3/engine.h"

namespace qwen3 {

using Clock = std::chrono::steady_clock;

struct Sequence {
  enum class State { waiting, running, finished };

  uint64_t id = 0;
  SamplingParams sampling;
  std::string cache_salt;
  Engine::OnEvent on_event;
  uint64_t seed = 0;             // of the sampler, fixed at submission
  std::vector<int32_t> end_ids;  // sorted: end-of-sequence (unless ignored) and stop ids
  int64_t max_length = 0;        // prompt and generated tokens together, at most

  std::vector<int32_t> tokens;  // the prompt, then what was generated
  int64_t n_prompt = 0;
  int64_t n_generated() const { return static_cast<int64_t>(tokens.size()) - n_prompt; }

  // Owned by the scheduler.
  State state = State::waiting;
  bool was_admitted = false;    // at least once
  int64_t n_computed = 0;       // tokens whose keys and values are stored
  std::vector<int32_t> blocks;  // block i holds positions [i, i + 1) * block_size
  int64_t n_known_blocks = 0;   // leading blocks that the prefix cache knows
  PrefixCache::Serial last_known = PrefixCache::kRoot;  // the entry of the last of them
  int64_t refused_at = -1;  // BlockPool::n_frees() when it last found no room

  Usage usage;
  Clock::time_point submitted, admitted, first_token;
};

}  // namespace qwen3
