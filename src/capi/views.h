// Events and answers as C sees them. What a view points to belongs to its owner here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "capi/reader.h"
#include "qwen3/c.h"

namespace qwen3::capi {

// Log probabilities of a prompt.
class PromptView {
 public:
  void show(const std::vector<PromptLogprobs>& given);
  const std::vector<qwen3_prompt_logprobs>& entries() const { return entries_; }

 private:
  std::vector<std::vector<qwen3_token_logprob>> tops_;  // what entries_ point to
  std::vector<qwen3_prompt_logprobs> entries_;
};

// The last event of a stream.
class EventView {
 public:
  // Valid until the next call.
  qwen3_event show(Step step);

 private:
  Step step_;
  std::vector<qwen3_token_logprob> top_;
  PromptView prompt_;
};

// A whole answer, put together from its steps.
class Answer {
 public:
  void add(const Step& step);
  qwen3_result show() const;  // valid as long as the answer

 private:
  std::vector<int32_t> ids_;
  std::vector<qwen3_token_logprob> logprobs_, tops_;  // tops_: [ids, n_top_]
  size_t n_top_ = 0;
  PromptView prompt_;
  std::string text_, reasoning_, error_;
  std::vector<float> embedding_;
  int32_t finish_ = QWEN3_FINISH_NONE;
  int32_t matched_stop_ = -1;
  int32_t error_status_ = QWEN3_OK;
  Usage usage_;
};

}  // namespace qwen3::capi
