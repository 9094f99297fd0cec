// POST /v1/completions: the request, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/api/answer.h"
#include "server/api/fields.h"
#include "server/api/generation_fields.h"

namespace qwen3::server {

struct CompletionPrompt {
  std::vector<int32_t> ids;
  std::string text;  // what echo shows
};

struct CompletionRequest {
  GenerationFields common;
  std::vector<CompletionPrompt> prompts;
  bool echo = false;
  bool show_prompt_logprobs = false;  // asked for by name; with echo they stand among the others
  // The prompt is only to be read: one token, the engine's least, is made and dropped.
  bool prompt_only = false;
  std::optional<int64_t> thinking_budget = {};

  bool with_logprobs() const { return common.sampling.n_logprobs >= 0; }
  size_t n_choices() const { return prompts.size() * static_cast<size_t>(common.n); }
};

CompletionRequest read_completion_request(Fields& fields,
                                          const ServedModel& model,
                                          const ServiceOptions& options);

// prompts times n, the n choices of a prompt side by side. Throws the context error.
std::vector<Request> completion_requests(const CompletionRequest& request,
                                         const HttpRequest& http,
                                         const ServedModel& model,
                                         const ServiceOptions& options);

// A prompt field: a text, token ids, or a list of either. `param` names it.
std::vector<CompletionPrompt> read_prompts(const Json& value,
                                           std::string_view param,
                                           size_t max_prompts,
                                           const ServedModel& model);

}  // namespace qwen3::server
