// A request of the C API, read: what the engine is asked for, and how its tokens become text.
#pragma once

#include <chrono>
#include <cstdint>
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

// So many milliseconds from now, a year at most; none for a negative number.
std::optional<std::chrono::steady_clock::time_point> deadline_of(int64_t timeout_ms);

SamplingParams read_sampling(const qwen3_sampling& given);
qwen3_sampling write_sampling(const SamplingParams& params);

}  // namespace qwen3::capi
