// Steering: tokens that the request decides and not the model, through Request::logits_processor.
//
//   thinking budget   the thought has had its tokens: close it with Qwen's own sentence
//   tool_choice       the answer begins with an opened tool call
//
// The forced tokens are generated like others (they are in the usage, the seed's draws and the
// cache): the request keeps its place in the batch, where cancelling it and submitting it again
// would send it to the end of the queue.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "qwen3/text.h"

namespace qwen3::server {

struct SteeringPlan {
  PromptState state = PromptState::plain;
  int32_t think_open = -1, think_close = -1;  // the ids of <think> and </think>; -1: none

  std::optional<int64_t> thought_budget = {};  // tokens of thought; then `closing` is forced
  std::vector<int32_t> closing = {};           // "… directly now.\n</think>\n\n"

  // Forced where the answer begins: at once when the prompt says nothing about thinking (there is
  // no thought then) or has closed the thought, else behind </think>.
  std::vector<int32_t> opening = {};
  std::vector<int32_t> opening_after_thought = {};  // the same behind the model's own </think>

  bool empty() const { return !thought_budget && opening.empty(); }
};

using LogitsProcessor =
    std::function<void(std::span<const int32_t> generated, std::span<float> logits)>;

// For one request: it remembers how far the answer is.
LogitsProcessor make_steering(SteeringPlan plan);

}  // namespace qwen3::server
