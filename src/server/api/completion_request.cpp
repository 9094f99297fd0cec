#include "server/api/completion_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/api/tool_choice.h"

namespace qwen3::server {
namespace {

// OpenAI's, and vLLM's, when max_tokens is absent.
constexpr int64_t kDefaultMaxTokens = 16;

CompletionPrompt text_prompt(const Json& value, const ServedModel& model) {
  const auto& text = value.get_ref<const std::string&>();
  return {.ids = model.text.encode(text), .text = text};
}

CompletionPrompt ids_prompt(const Json& list, std::string_view path, const ServedModel& model) {
  CompletionPrompt prompt{.ids = read_token_ids(list, path, model.n_tokens), .text = {}};
  prompt.text = model.text.decode(prompt.ids);
  return prompt;
}

void check_not_empty(const std::vector<CompletionPrompt>& prompts, std::string_view param) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (!prompts[i].ids.empty()) continue;
    refuse(prompts.size() > 1 ? fmt::format("{}[{}]", param, i) : std::string(param),
           "expected at least one token, got none");
  }
}

void check_logprob_entries(const CompletionRequest& request, const ApiLimits& limits, int n_top) {
  if (n_top < 0) return;
  int64_t n = 0;
  for (const CompletionPrompt& prompt : request.prompts) {
    n += static_cast<int64_t>(prompt.ids.size()) * (n_top + 1);
  }
  if (n > limits.max_logprob_entries) {
    refuse("prompt",
           fmt::format("expected at most {} log probabilities in one request, got {}; "
                       "send fewer prompts at a time",
                       limits.max_logprob_entries,
                       n));
  }
}

void read_max_tokens(Fields& fields, CompletionRequest& out) {
  constexpr int64_t kMost = int64_t{1} << 30;
  const std::string_view name = fields.one_of({"max_tokens", "max_completion_tokens", "n_predict"});
  if (name.empty()) return;
  const int64_t tokens = *fields.integer(name, -1, kMost);
  out.common.fill_context = tokens < 0;
  if (!out.common.fill_context) out.common.max_tokens = tokens;
  out.prompt_only = tokens == 0;
}

// A prompt gets no tokens that it does not spell. Asking for them changes nothing where the
// tokenizer has none to add, as Qwen3's.
void refuse_special_tokens(Fields& fields, const ServedModel& model) {
  if (!fields.boolean("add_special_tokens").value_or(false)) return;
  if (model.tokenizer().encode_with_post_processor("", ControlTokens::as_text).empty()) return;
  refuse_unsupported("add_special_tokens",
                     "prompts are taken as they are; spell the tokens in the prompt");
}

// The prompt is the client's own text: the last tag in it tells where it leaves a thought.
PromptState state_of(const CompletionPrompt& prompt, const ServedModel& model) {
  for (size_t i = prompt.ids.size(); i-- > 0;) {
    if (prompt.ids[i] == model.think_open) return PromptState::inside_thinking;
    if (prompt.ids[i] == model.think_close) return PromptState::thinking_is_over;
  }
  return PromptState::plain;
}

}  // namespace

std::vector<CompletionPrompt> read_prompts(const Json& value,
                                           std::string_view param,
                                           size_t max_prompts,
                                           const ServedModel& model) {
  std::vector<CompletionPrompt> prompts;
  if (value.is_string()) {
    prompts.push_back(text_prompt(value, model));
  } else if (!value.is_array() || value.empty()) {
    refuse(param,
           fmt::format("expected a text, token ids, or a list of either, got {}",
                       value.is_array() ? "an empty list" : describe(value)));
  } else if (value.front().is_number()) {
    prompts.push_back(ids_prompt(value, param, model));
  } else {
    if (value.size() > max_prompts) {
      refuse(param, fmt::format("expected at most {} entries, got {}", max_prompts, value.size()));
    }
    for (const Json& one : value) {
      const std::string path = fmt::format("{}[{}]", param, prompts.size());
      if (one.is_string()) {
        prompts.push_back(text_prompt(one, model));
      } else if (one.is_array()) {
        prompts.push_back(ids_prompt(one, path, model));
      } else {
        refuse(path, fmt::format("expected a text or token ids, got {}", describe(one)));
      }
    }
  }
  return prompts;
}

CompletionRequest read_completion_request(Fields& fields,
                                          const ServedModel& model,
                                          const ServiceOptions& options) {
  const ApiLimits& limits = options.limits;
  CompletionRequest out;
  out.common = read_generation_fields(fields, model, options);
  const Json* prompt = fields.value("prompt");
  if (prompt == nullptr) refuse("prompt", "is missing");
  const auto most = static_cast<size_t>(limits.max_choices / out.common.n);
  out.prompts = read_prompts(*prompt, "prompt", most, model);
  check_not_empty(out.prompts, "prompt");
  if (out.common.trace && out.prompts.size() > 1) refuse("trace", "only of one prompt");
  if (fields.used("suffix")) refuse_unsupported("suffix", "Qwen3 models do not fill in the middle");
  out.echo = fields.boolean("echo").value_or(false);
  refuse_special_tokens(fields, model);
  out.common.sampling.n_logprobs =
      static_cast<int>(fields.integer("logprobs", 0, limits.max_logprobs).value_or(-1));
  out.show_prompt_logprobs = out.common.n_prompt_logprobs >= 0;
  if (out.echo && out.with_logprobs()) {
    out.common.n_prompt_logprobs =
        std::max(out.common.n_prompt_logprobs, out.common.sampling.n_logprobs);
  }
  check_logprob_entries(out, limits, out.common.n_prompt_logprobs);
  out.thinking_budget = read_thinking_budget(fields);
  read_max_tokens(fields, out);
  if (out.common.close_on_length) {
    out.common.closed = std::make_shared<std::vector<std::atomic<bool>>>(out.n_choices());
  }
  if (out.prompts.size() > 1) out.common.return_progress = false;  // of which one?
  return out;
}

std::vector<Request> completion_requests(const CompletionRequest& request,
                                         const HttpRequest& http,
                                         const ServedModel& model,
                                         const ServiceOptions& options) {
  std::vector<Request> requests;
  requests.reserve(request.n_choices());
  for (const CompletionPrompt& prompt : request.prompts) {
    const std::optional<int64_t> asked =
        request.prompt_only ? std::optional<int64_t>(1) : request.common.max_tokens;
    Request one = make_request(request.common, prompt.ids, http, options);
    one.sampling.max_tokens = fit_max_tokens(asked,
                                             request.common.fill_context ? 0 : kDefaultMaxTokens,
                                             static_cast<int64_t>(prompt.ids.size()),
                                             model,
                                             options,
                                             "prompt");
    if (one.sampling.min_tokens > one.sampling.max_tokens) {
      refuse("min_tokens",
             fmt::format("expected at most max_tokens {}, got {}",
                         one.sampling.max_tokens,
                         one.sampling.min_tokens));
    }
    SteeringPlan steering = plan_steering(model, state_of(prompt, model), request.thinking_budget);
    hold_to_format(steering, model, request.common.format, http.body);
    // Under a format there is no thought: it holds from the first token.
    if (request.common.format) steering.state = PromptState::thinking_is_over;
    check_steering(steering, one.sampling);
    for (int64_t i = 0; i < request.common.n; ++i) {
      requests.push_back(one);
      if (request.common.close_on_length) {
        plan_closing(steering,
                     model,
                     one.sampling.max_tokens,
                     closed_flag(request.common, requests.size() - 1));
      }
      if (!steering.empty()) requests.back().constraint = make_steering(steering);
      if (one.sampling.seed) *requests.back().sampling.seed += static_cast<uint64_t>(i);
    }
  }
  return requests;
}

}  // namespace qwen3::server
