#include "capi/views.h"

#include <utility>

#include "capi/structs.h"

namespace qwen3::capi {
namespace {

int32_t finish_of(const Event& event) {
  if (!event.finish) return QWEN3_FINISH_NONE;
  switch (*event.finish) {
    case FinishReason::stop:
      return QWEN3_FINISH_STOP;
    case FinishReason::length:
      return QWEN3_FINISH_LENGTH;
    case FinishReason::cancelled:
      return QWEN3_FINISH_CANCELLED;
    case FinishReason::timeout:
      return QWEN3_FINISH_TIMEOUT;
    case FinishReason::error:
      break;
  }
  return QWEN3_FINISH_ERROR;
}

qwen3_usage usage_of(const Usage& usage) {
  return {usage.prompt_tokens,
          usage.cached_tokens,
          usage.completion_tokens,
          usage.queue_seconds,
          usage.prefill_seconds,
          usage.decode_seconds};
}

qwen3_token_logprob logprob_of(const TokenLogprob& given) {
  return {given.token_id, given.logprob};
}

std::vector<qwen3_token_logprob> logprobs_of(const std::vector<TokenLogprob>& given) {
  std::vector<qwen3_token_logprob> out;
  out.reserve(given.size());
  for (const TokenLogprob& one : given) out.push_back(logprob_of(one));
  return out;
}

}  // namespace

void PromptView::show(const std::vector<PromptLogprobs>& given) {
  entries_.clear();
  tops_.clear();
  tops_.reserve(given.size());
  for (const PromptLogprobs& one : given) {
    const auto& top = tops_.emplace_back(logprobs_of(one.top));
    const TokenLogprob token = one.token.value_or(TokenLogprob{-1, 0.0f});
    entries_.push_back({logprob_of(token), one.rank, top.data(), top.size(), one.token ? 1 : 0, 0});
  }
}

qwen3_event EventView::show(Step step) {
  step_ = std::move(step);
  const Event& event = step_.event;
  auto out = defaults<qwen3_event>();
  out.token_id = event.token_id;
  out.is_end_token = event.is_end_token ? 1 : 0;
  out.finish = finish_of(event);
  out.matched_stop = step_.matched_stop;
  if (out.finish == QWEN3_FINISH_ERROR) out.error_status = status_of(event.error_kind);
  out.has_logprob = event.logprob ? 1 : 0;
  out.logprob = event.logprob ? event.logprob->logprob : 0.0f;
  out.text = step_.text.c_str();
  out.n_text_bytes = step_.text.size();
  out.reasoning = step_.reasoning.c_str();
  out.n_reasoning_bytes = step_.reasoning.size();
  out.error = event.error.c_str();
  top_ = logprobs_of(event.top_logprobs);
  out.top_logprobs = top_.data();
  out.n_top_logprobs = top_.size();
  prompt_.show(event.prompt_logprobs);
  out.prompt_logprobs = prompt_.entries().data();
  out.n_prompt_logprobs = prompt_.entries().size();
  out.embedding = event.embedding.data();
  out.n_embedding = event.embedding.size();
  out.usage = usage_of(event.usage);
  return out;
}

void Answer::add(const Step& step) {
  const Event& event = step.event;
  text_ += step.text;
  reasoning_ += step.reasoning;
  if (event.token_id >= 0) {
    ids_.push_back(event.token_id);
    if (event.logprob) logprobs_.push_back(logprob_of(*event.logprob));
    n_top_ = event.top_logprobs.size();
    for (const TokenLogprob& one : event.top_logprobs) tops_.push_back(logprob_of(one));
  }
  if (!event.prompt_logprobs.empty()) prompt_.show(event.prompt_logprobs);
  if (!event.embedding.empty()) embedding_ = event.embedding;
  if (step.matched_stop >= 0) matched_stop_ = step.matched_stop;
  if (!event.finish) return;
  finish_ = finish_of(event);
  usage_ = event.usage;
  error_ = event.error;
  if (finish_ == QWEN3_FINISH_ERROR) error_status_ = status_of(event.error_kind);
}

qwen3_result Answer::show() const {
  auto out = defaults<qwen3_result>();
  out.ids = ids_.data();
  out.n_ids = ids_.size();
  if (!ids_.empty() && logprobs_.size() == ids_.size()) out.logprobs = logprobs_.data();
  if (n_top_ > 0 && tops_.size() == ids_.size() * n_top_) {
    out.top_logprobs = tops_.data();
    out.n_top_logprobs = n_top_;
  }
  out.prompt_logprobs = prompt_.entries().data();
  out.n_prompt_logprobs = prompt_.entries().size();
  out.text = text_.c_str();
  out.n_text_bytes = text_.size();
  out.reasoning = reasoning_.c_str();
  out.n_reasoning_bytes = reasoning_.size();
  out.error = error_.c_str();
  out.embedding = embedding_.data();
  out.n_embedding = embedding_.size();
  out.finish = finish_;
  out.matched_stop = matched_stop_;
  out.error_status = error_status_;
  out.usage = usage_of(usage_);
  return out;
}

}  // namespace qwen3::capi
