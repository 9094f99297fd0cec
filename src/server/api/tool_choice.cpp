#include "server/api/tool_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "server/api/tool_grammar.h"

namespace qwen3::server {
namespace {

// The budget holds what lies between the tags, the closing sentence too. One that the sentence would take most of is
// the model's own but for the newline before the tag: the template writes it, so the next turn finds the thought in the
// prefix cache.
void plan_budget(SteeringPlan& plan, const ServedModel& model, int64_t budget) {
  const auto n_before = [&](const TokenIds& ids) {
    return std::ranges::find(ids, model.think_close) - ids.begin();
  };
  plan.closing = budget >= 2 * n_before(model.closing_ids) ? model.closing_ids : model.ending_ids;
  const int64_t n_closing = n_before(plan.closing);
  if (budget < n_closing && n_closing < std::ssize(plan.closing))
    plan.closing.erase(plan.closing.begin(), plan.closing.begin() + n_closing);
  plan.thought_budget = std::max<int64_t>(0, budget - n_closing);
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
                           const std::optional<int64_t>& thinking_budget) {
  SteeringPlan plan = steering_plan(model.text, state);
  if (thinking_budget && state != PromptState::thinking_is_over) {
    if (model.think_close < 0) {
      refuse_unsupported("thinking_token_budget", "this model's tokenizer has no </think>");
    }
    plan_budget(plan, model, *thinking_budget);
  }
  return plan;
}

void hold_to_format(SteeringPlan& plan,
                    const ServedModel& model,
                    const AnswerFormat& format,
                    std::string_view body) {
  if (!format) return;
  plan.grammar = compile_answer(with_digits(format, body), *model.grammars);
  plan.trie = model.grammars->trie();
}

std::vector<std::string> hold_to_tools(SteeringPlan& plan,
                                       const ServedModel& model,
                                       const ToolUse& use,
                                       const AnswerFormat& format) {
  const auto id_of = [&](std::string_view tag) {
    return model.tokenizer().token_to_id(tag).value_or(-1);
  };
  ToolRules rules{.format = model.tool_format,
                  .names = use.names,
                  .single = use.single,
                  .open = id_of("<tool_call>"),
                  .close = id_of("</tool_call>")};
  rules.numbers.add_for(use.tools, use.body);
  const bool free = !use.required && !format;
  // Without a token for it, the text is followed to see where a call begins.
  rules.opened = free && rules.open >= 0;
  rules.in_text = free && rules.open < 0;
  if (rules.in_text && use.endless) return {};
  const AnswerFormat answer = use.required ? AnswerFormat{} : with_digits(format, use.body);
  CompiledGrammar made;
  try {
    made = model.grammars->cache().get("tools", source_of(use.tools, rules, answer), "", [&] {
      CompiledGrammar compiled = compile_calls(use.tools, rules, answer, *model.grammars->trie());
      check_start(compiled.grammar, model.grammars->trie());
      return compiled;
    });
  } catch (const GrammarError& error) {
    if (!free) refuse_grammar("tools", error);
    return use.names;
  }
  plan.grammar = made.grammar;
  plan.trie = model.grammars->trie();
  if (rules.opened) plan.trigger = rules.open;
  return made.relaxed;
}

void begin_answer(SteeringPlan& plan, const ServedModel& model, std::string_view text) {
  if (plan.grammar == nullptr || plan.trigger >= 0) return;
  if (match_bytes(*plan.grammar, text) == Membership::no) {
    refuse(
        "messages",
        "the last message, which is to be continued, is not a beginning of what the answer may be");
  }
  plan.state = PromptState::thinking_is_over;
  plan.begun = model.text.encode_untrusted(text);
}

// Without Qwen's sentence: who ends a thought by hand waits for the answer.
void plan_control(SteeringPlan& plan, const ServedModel& model, ThoughtSwitch end_thought) {
  if (model.think_close < 0) {
    refuse_unsupported("reasoning_control", "this model's tokenizer has no </think>");
  }
  plan.end_thought = std::move(end_thought);
  plan.ending = model.ending_ids;
}

void plan_closing(SteeringPlan& plan,
                  const ServedModel& model,
                  int64_t max_tokens,
                  std::shared_ptr<std::atomic<bool>> closed) {
  plan.close_within = max_tokens;
  plan.closed = std::move(closed);
  if (model.think_close >= 0) plan.ending = model.ending_ids;
}

void check_steering(const SteeringPlan& plan, const SamplingParams& sampling) {
  if (plan.empty()) return;
  const bool free = plan.grammar == nullptr || plan.trigger >= 0;
  if (!sampling.allowed_token_ids.empty() && (plan.thought_budget || plan.end_thought || !free)) {
    refuse("allowed_token_ids",
           "not together with a thinking budget, reasoning_control or a forced tool call");
  }
  if (!free && sampling.ignore_eos) {
    refuse("ignore_eos", "not together with a forced tool call, which says where to end");
  }
}

}  // namespace qwen3::server
