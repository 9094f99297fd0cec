// A request of the C API, read: what the engine is asked for, and how its tokens become text.
#pragma once

#include <memory>
#include <optional>

#include "capi/model.h"
#include "qwen3/c.h"
#include "qwen3/request.h"
#include "qwen3/text.h"

namespace qwen3::capi {

struct ReadRequest {
  Request request;
  std::optional<AnswerStream> answer;  // empty: the model has no tokenizer, or no answer is wanted
};

// Copies all that it points to. Throws Error.
ReadRequest read_request(ModelObject& model, const qwen3_request* given);

SamplingParams read_sampling(const qwen3_sampling& given);
qwen3_sampling write_sampling(const SamplingParams& params);

}  // namespace qwen3::capi
