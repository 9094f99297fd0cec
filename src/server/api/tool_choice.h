// What a request's tool_choice, answer format and thinking budget make of its answer: the plan of the steering.
//
//   tools   format   tool_choice      the answer is
//   no      yes                       the format
//   yes     no       auto             free; what begins as a call is one (where <tool_call> is a token)
//   yes     yes      auto             the format, or calls
//   yes     any      required, named  calls
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chat/steering.h"
#include "server/api/answer_format.h"
#include "server/api/fields.h"
#include "server/api/served_model.h"

namespace qwen3::server {

// thinking_token_budget, or another of its names; absent also for -1, no limit.
std::optional<int64_t> read_thinking_budget(Fields& fields);

// Refuses a budget when the model knows no </think>.
SteeringPlan plan_steering(const ServedModel& model,
                           PromptState state,
                           const std::optional<int64_t>& thinking_budget);

// The tools of a request and what it wants of them.
struct ToolUse {
  const Json& tools;
  bool required = false;
  std::vector<std::string> names = {};  // that may be called
  bool single = false;                  // one call at most
  bool endless = false;        // the answer may not end by itself, so free text has no grammar
  std::string_view body = {};  // of the request
};

// Has the plan hold the answer to the format; to the tools. Returns the tools whose schemas were widened. `body`: of
// the request, where the numbers of schemas stand in all their digits.
void hold_to_format(SteeringPlan& plan,
                    const ServedModel& model,
                    const AnswerFormat& format,
                    std::string_view body);
std::vector<std::string> hold_to_tools(SteeringPlan& plan,
                                       const ServedModel& model,
                                       const ToolUse& use,
                                       const AnswerFormat& format);

// The answer begins with this text, which the prompt ends with. Refuses one that the grammar does not begin with.
void begin_answer(SteeringPlan& plan, const ServedModel& model, std::string_view text);

// A thought may be ended from outside. Refuses that when the model knows no </think>.
void plan_control(SteeringPlan& plan, const ServedModel& model, ThoughtSwitch end_thought);

// An answer of at most max_tokens, thought included, is closed in time. `closed`: set where that was needed.
void plan_closing(SteeringPlan& plan,
                  const ServedModel& model,
                  int64_t max_tokens,
                  std::shared_ptr<std::atomic<bool>> closed);

// Refuses the fields that forbid what is forced.
void check_steering(const SteeringPlan& plan, const SamplingParams& sampling);

}  // namespace qwen3::server
