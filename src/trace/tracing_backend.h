// TracingBackend: a decorator that records a span for each operation of another backend. When
// nobody asks for time it is not in the call path at all, so that it costs nothing when off.
#pragma once

#include <memory>

#include "kernels/backend.h"
#include "trace/span_log.h"

namespace qwen3 {

// Borrows both, for as long as it lives; who calls `inner` may call it, one at a time. An operation
// that an observer listens to runs as its definition, and the primitive ones are recorded instead.
std::unique_ptr<Backend> make_tracing_backend(Backend& inner, SpanLog& log);

}  // namespace qwen3
