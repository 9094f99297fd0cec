// Steering: tokens that the request decides and not the model, through Request::logits_processor.
//
//   thinking budget   the thought has had its tokens: close it
//   reasoning control the client wants no more of it: close it (reasoning_control.h)
//   tool_choice       the answer is a call: <tool_call>\n{"name": "NAME", "arguments": {
//
// Where a call may have one of several names, the model chooses among their token sequences and
// nothing else; where only one way goes on, it is forced. Forced tokens are generated like others
// (they are in the usage, the seed's draws and the cache): the request keeps its place in the
// batch, where cancelling it and submitting it again would send it to the end of the queue.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "qwen3/text.h"

namespace qwen3::server {

using TokenIds = std::vector<int32_t>;

// Set once, by who wants the answer now (reasoning_control.h); read before each token.
using ThoughtSwitch = std::shared_ptr<std::atomic<bool>>;

// The tokens that may begin the arguments of a call: one of white space, then one of an object.
struct ArgumentTokens {
  TokenIds space;
  TokenIds object;  // such as " {" and "{\""
};

struct SteeringPlan {
  PromptState state = PromptState::plain;
  int32_t think_open = -1, think_close = -1;  // the ids of <think> and </think>; -1: none

  std::optional<int64_t> thought_budget = {};  // tokens that the model thinks; then `closing`
  TokenIds closing = {};                       // "… directly now.\n</think>\n\n"

  ThoughtSwitch end_thought = {};  // set: then `ending`; null: never
  TokenIds ending = {};            // "\n</think>\n\n"

  // The ways a call may begin; none: the answer is the model's. It is opened at once when the
  // prompt has closed the thought or when there is no <think>. When the prompt says nothing about
  // thinking, the model first chooses between <think> and a call; a thought is let finish.
  std::vector<TokenIds> openings = {};                // no sequence begins another one
  std::vector<TokenIds> openings_after_thought = {};  // the same after the model's own </think>
  // What comes right after an opening; null: anything. Shared with the model's facts.
  std::shared_ptr<const ArgumentTokens> arguments = {};

  bool empty() const { return !thought_budget && !end_thought && openings.empty(); }
};

using LogitsProcessor =
    std::function<void(std::span<const int32_t> generated, std::span<float> logits)>;

// For one request: it remembers how far the answer is.
LogitsProcessor make_steering(SteeringPlan plan);

}  // namespace qwen3::server
