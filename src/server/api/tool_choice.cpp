#include "server/api/tool_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace qwen3::server {
namespace {

constexpr std::string_view kSpace = " \t\r\n";  // JSON's

// It ends where a token of the model's own would end.
std::string opened_call(const std::string& name, ToolFormat format) {
  return format == ToolFormat::qwen3_coder
             ? fmt::format("<tool_call>\n<function={}>\n", name)
             : fmt::format("<tool_call>\n{{\"name\": \"{}\", \"arguments\":", name);
}

// The budget holds what lies between the tags, the closing sentence too. One that the sentence
// would take most of is the model's own, and the thought just ends.
void plan_budget(SteeringPlan& plan, const ServedModel& model, int64_t budget) {
  const auto close = std::ranges::find(model.closing_ids, model.think_close);
  const int64_t n_sentence = close - model.closing_ids.begin();
  if (close == model.closing_ids.end() || budget >= 2 * n_sentence) {
    plan.thought_budget = std::max<int64_t>(0, budget - n_sentence);
    plan.closing = model.closing_ids;
  } else {
    plan.thought_budget = budget;
    plan.closing = TokenIds(close, model.closing_ids.end());
  }
}

// White space, a brace, and then nothing, white space, a key or the end.
bool begins_object(std::string_view text) {
  const auto skip_space = [&] {
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  };
  skip_space();
  if (!text.starts_with('{')) return false;
  text.remove_prefix(1);
  skip_space();
  return text.empty() || text.front() == '"' || text.front() == '}';
}

}  // namespace

std::optional<int64_t> read_thinking_budget(Fields& fields) {
  constexpr int64_t kMost = int64_t{1} << 30;
  std::optional<int64_t> budget;
  const std::string_view name =
      fields.one_of({"thinking_token_budget", "thinking_budget", "reasoning_budget"});
  if (!name.empty()) budget = fields.integer(name, -1, kMost);
  if (const Json* kwargs = fields.object("chat_template_kwargs")) {
    const auto inner =
        Fields(*kwargs, "chat_template_kwargs").integer("thinking_budget", -1, kMost);
    if (!budget) budget = inner;
  }
  if (budget && *budget < 0) return std::nullopt;
  return budget;
}

SteeringPlan plan_steering(const ServedModel& model,
                           PromptState state,
                           const std::optional<int64_t>& thinking_budget,
                           const std::vector<std::string>& call_names) {
  SteeringPlan plan{
      .state = state, .think_open = model.think_open, .think_close = model.think_close};
  if (thinking_budget && state != PromptState::thinking_is_over) {
    if (model.think_close < 0) {
      refuse_unsupported("thinking_token_budget", "this model's tokenizer has no </think>");
    }
    plan_budget(plan, model, *thinking_budget);
  }
  for (const std::string& name : call_names) {
    const std::string opening = opened_call(name, model.tool_format);
    plan.openings.push_back(model.text.encode(opening));
    plan.openings_after_thought.push_back(model.text.encode("\n\n" + opening));
  }
  if (model.tool_format == ToolFormat::hermes) plan.arguments = model.argument_tokens;
  return plan;
}

// Without Qwen's sentence: who ends a thought by hand waits for the answer.
void plan_control(SteeringPlan& plan, const ServedModel& model, ThoughtSwitch end_thought) {
  if (model.think_close < 0) {
    refuse_unsupported("reasoning_control", "this model's tokenizer has no </think>");
  }
  plan.end_thought = std::move(end_thought);
  plan.ending = model.text.encode("\n</think>\n\n");
}

void check_steering(const SteeringPlan& plan, const SamplingParams& sampling) {
  if (plan.empty()) return;
  if (!sampling.allowed_token_ids.empty()) {
    refuse("allowed_token_ids",
           "not together with a thinking budget, reasoning_control or a forced tool call");
  }
  if (sampling.min_tokens > 0 && !sampling.stop_token_ids.empty()) {
    refuse("stop_token_ids",
           "not together with min_tokens and a thinking budget, reasoning_control or a forced tool "
           "call");
  }
}

std::shared_ptr<const ArgumentTokens> argument_tokens(const Tokenizer& tokenizer,
                                                      int64_t n_tokens) {
  ArgumentTokens tokens;
  for (int32_t id = 0; id < n_tokens; ++id) {
    const std::string_view text = tokenizer.token_bytes(id);
    if (begins_object(text)) {
      tokens.object.push_back(id);
    } else if (!text.empty() && text.find_first_not_of(kSpace) == text.npos) {
      tokens.space.push_back(id);
    }
  }
  return std::make_shared<const ArgumentTokens>(std::move(tokens));
}

}  // namespace qwen3::server
