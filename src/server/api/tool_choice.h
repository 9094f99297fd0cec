// What a request's tool_choice and thinking budget make of its answer: the plan of the steering.
//
//   hermes       <tool_call>\n{"name": "NAME", "arguments": {
//   qwen3_coder  <tool_call>\n<function=NAME>\n
//
// The names are those of the request's tools, or the one that was asked for. What comes after is
// the model's: whether it is a call is for Answer to judge.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/api/fields.h"
#include "server/api/served_model.h"
#include "server/api/steering.h"

namespace qwen3::server {

// thinking_token_budget, or another of its names; absent also for -1, no limit.
std::optional<int64_t> read_thinking_budget(Fields& fields);

// Refuses a budget when the model knows no </think>. `call_names`: the tools of which the answer is
// to call one; empty: the answer is free.
SteeringPlan plan_steering(const ServedModel& model,
                           PromptState state,
                           const std::optional<int64_t>& thinking_budget,
                           const std::vector<std::string>& call_names);

// A thought may be ended from outside. Refuses that when the model knows no </think>.
void plan_control(SteeringPlan& plan, const ServedModel& model, ThoughtSwitch end_thought);

// Tokens that are forced must be allowed: refuses the fields that forbid them.
void check_steering(const SteeringPlan& plan, const SamplingParams& sampling);

std::shared_ptr<const ArgumentTokens> argument_tokens(const Tokenizer& tokenizer, int64_t n_tokens);

}  // namespace qwen3::server
