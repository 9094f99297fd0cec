// A trace of prompt and generated tokens: one request in a running engine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cli/trace/options.h"
#include "cli/trace/run.h"
#include "trace/tap.h"

namespace qwen3::cli {

class StatusLine;

// Throws Error{invalid_argument} when prompt and --generate do not fit into the model's context.
void check_generated_length(const TraceOptions& options, const Trace& trace);

// Generates --generate tokens, greedily, as `qwen3 generate --temperature 0` does, and one more:
// the last token of a request is drawn but never run. Returns those that were run, which are fewer
// when the model ends its text. `tap` sees every pass.
std::vector<int32_t> run_generation(const TraceOptions& options,
                                    const Trace& trace,
                                    Tap& tap,
                                    StatusLine& status);

// The same without a tap and under the clock, after a warm-up: operations into trace.time, spans of
// the request into trace.requests.
void run_timed_generation(const TraceOptions& options, Trace& trace, StatusLine& status);

}  // namespace qwen3::cli
