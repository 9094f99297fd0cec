// What is sent: the body of POST /chat/completions.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "eval/config.h"
#include "eval/dataset.h"

namespace qwen3::eval {

// Everything of a request but the messages and the seed: the same for all samples of a run.
// strict: the official keys only.
Json request_settings(const EvalConfig& config, Mode mode);

// `settings` as above. extra_body is laid over the rest, as the official client does.
Json request_body(const EvalConfig& config,
                  Mode mode,
                  const Json& settings,
                  const std::string& prompt,
                  int64_t sample);

// The messages alone, as a JSON array.
Json request_messages(const EvalConfig& config, Mode mode, const std::string& prompt);

}  // namespace qwen3::eval
