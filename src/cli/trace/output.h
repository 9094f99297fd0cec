// What a trace found, said to people (tables on stdout), to machines (JSON lines) and to files.
#pragma once

#include "cli/commands.h"
#include "cli/trace/options.h"
#include "cli/trace/run.h"

namespace qwen3::cli {

// Prints and writes all that was asked for. kFailed when a tensor is not finite or diverges from
// its reference; the reason is on stderr.
ExitCode report_trace(const TraceOptions& options, const Trace& trace);

}  // namespace qwen3::cli
