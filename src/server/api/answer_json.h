// The JSON around answers: what chat and plain completions share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/api/api_error.h"
#include "server/api/service.h"

namespace qwen3::server {

struct TokenUsage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t reasoning_tokens = 0;
};

// {"prompt_tokens":…,"completion_tokens":…,"total_tokens":…,…_details}
std::string usage_json(const TokenUsage& usage);

// For the log line of the request.
void note_usage(Exchange& exchange, const TokenUsage& usage, std::string_view finish_reason);

// {"id":…,"object":…,"created":…,"model":…,"system_fingerprint":…,"choices":[ — the same in every
// chunk of a stream.
std::string answer_head(const Service& service, std::string_view id, std::string_view object);

// ,"finish_reason":…,"stop_reason":…[,"finish_detail":…]
void append_finish(std::string& out,
                   std::string_view reason,
                   std::string_view stop_reason,
                   std::string_view detail);

// The events that end a stream: an error if there is one, then [DONE].
std::string stream_end(const ApiError* error);

}  // namespace qwen3::server
