// The timeline: Chrome's trace-event JSON, which Perfetto and chrome://tracing open.
#pragma once

#include <string>
#include <string_view>

#include "trace/request_spans.h"
#include "trace/span_log.h"

namespace qwen3 {

// The first process, named `process`, has the operations, under the passes or steps that they
// belong to; the second has a track for every request. `requests` may be null; its origin is the
// log's.
std::string timeline_json(std::string_view process,
                          const SpanLog& operations,
                          const RequestSpans* requests = nullptr);

}  // namespace qwen3
