// The fields that chat and plain completions share: sampling, stops, lengths, streaming. Names are
// OpenAI's, vLLM's extensions and llama.cpp's spellings of the same.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "qwen3/engine.h"
#include "qwen3/sampling.h"
#include "server/api/answer_format.h"
#include "server/api/fields.h"
#include "server/api/served_model.h"
#include "server/http/http.h"

namespace qwen3::server {

struct GenerationFields {
  SamplingParams sampling;  // max_tokens is left to fit_max_tokens()
  AnswerFormat format = {};
  std::optional<int64_t> max_tokens = {};  // as asked
  bool fill_context = false;               // -1 was: as many as there is room for
  std::vector<std::string> stop = {};
  bool include_stop = false;
  bool skip_special_tokens = true;
  int64_t n = 1;
  int n_prompt_logprobs = -1;
  bool stream = false;
  bool include_usage = false;     // the usage in a chunk of its own
  bool continuous_usage = false;  // and in every chunk
  bool return_token_ids = false;
  bool loop_guard = true;
  bool close_on_length = false;  // an answer with a form is whole before its last token
  std::shared_ptr<std::vector<std::atomic<bool>>> closed =
      {};  // by choice, set by its Steering; null: not asked for
  AskedPreset preset = {};
  RoutedExperts routed_experts = RoutedExperts::none;
  bool return_progress = false;  // of a stream
  bool trace = false;            // keep a record of it (traces.h)
  std::string cache_salt = {};
  std::string private_salt = {};  // of a request that shares no cache: not to be guessed
  int32_t priority = 0;
};

// Reads them; refuses with the field's name what is out of range and what this server cannot do
// (structural tags, beam search, client templates, embeddings as input). `thinking`: the mode that was asked for, which
// chooses the preset "auto".
GenerationFields read_generation_fields(Fields& fields,
                                        const ServedModel& model,
                                        const ServiceOptions& options,
                                        std::optional<bool> thinking = {});

// The new tokens a prompt may get. Throws the context error, `param` naming the prompt's field,
// when the prompt leaves no room, or not as much as was asked for.
int64_t fit_max_tokens(const std::optional<int64_t>& asked,
                       int64_t when_absent,
                       int64_t n_prompt,
                       const ServedModel& model,
                       const ServiceOptions& options,
                       std::string_view param);

// A request of the engine, all but sampling.max_tokens, seed offset and logprobs of a prompt.
Request make_request(const GenerationFields& fields,
                     std::vector<int32_t> prompt_ids,
                     const HttpRequest& http,
                     const ServiceOptions& options);

// For the description of the API (described_fields.h): names that change nothing here, names that
// are refused, and how far a sampling field goes.
std::span<const char* const> ignored_fields();
std::vector<std::string> refused_fields();
double highest_of(const SamplingField& field, const ApiLimits& limits);

// Of choice `index`; null: not asked for.
std::shared_ptr<std::atomic<bool>> closed_flag(const GenerationFields& fields, size_t index);

// "model" of the request; "" when absent.
std::string read_model_name(Fields& fields);

// Notes for the log the fields that nobody read.
void note_unread(const Fields& fields, Exchange& exchange);

}  // namespace qwen3::server
