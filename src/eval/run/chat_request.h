// What is sent: the bodies of POST /chat/completions, and of /completions where choices are scored.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "eval/run/config.h"
#include "eval/run/dataset.h"

namespace qwen3::eval {

// Everything of a request but the messages (or the text) and the seed: the same for all samples of
// a run. strict: the official keys only.
Json request_settings(const EvalConfig& config, Mode mode);

// `settings` as above. extra_body is laid over the rest, as the official client does.
Json request_body(const EvalConfig& config,
                  Mode mode,
                  const Json& settings,
                  const std::string& prompt,
                  int64_t sample);

// The body of POST /completions for a text whose tokens are wanted, not its continuation.
Json completion_body(const Json& settings, const std::string& text);

// The messages alone, as a JSON array.
Json request_messages(const EvalConfig& config, Mode mode, const std::string& prompt);

}  // namespace qwen3::eval
