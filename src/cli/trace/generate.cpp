#include "cli/trace/generate.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "cli/console.h"
#include "cli/generation.h"

namespace qwen3::cli {
namespace {

int64_t longest_sequence(const TraceOptions& options, const Trace& trace) {
  return static_cast<int64_t>(trace.ids.size()) + options.generate + 1;
}

EngineOptions engine_options(const TraceOptions& options, const Trace& trace) {
  EngineOptions engine;
  engine.max_model_len = longest_sequence(options, trace);
  engine.max_sequences = 1;
  tell_engine(engine, trace.text ? &*trace.text : nullptr);
  return engine;
}

Request greedy_request(const Trace& trace, int64_t max_tokens) {
  Request request{.prompt_ids = trace.ids, .sampling = {}};
  request.sampling.max_tokens = max_tokens;
  return request;
}

// Says how far it is; a long trace would look like a hang.
OnToken counting(StatusLine& status, const char* what, int64_t n_tokens) {
  status.show(fmt::format("{}: the prompt", what));
  return [&status, what, n_tokens, n = int64_t{0}](int32_t, bool) mutable {
    status.show(fmt::format("{}: {} of {} tokens", what, ++n, n_tokens));
    return true;
  };
}

bool go_on(int32_t, bool) { return true; }

}  // namespace

void check_generated_length(const TraceOptions& options, const Trace& trace) {
  if (options.generate == 0) return;
  const int64_t context = trace.model->shape().context_length();
  QWEN3_CHECK(
      longest_sequence(options, trace) <= context,
      ErrorKind::invalid_argument,
      "qwen3 trace: --generate: expected at most {} tokens after a prompt of {} in a context "
      "of {}; got {}",
      std::max<int64_t>(0, context - static_cast<int64_t>(trace.ids.size()) - 1),
      trace.ids.size(),
      context,
      options.generate);
}

std::vector<int32_t> run_generation(const TraceOptions& options,
                                    const Trace& trace,
                                    Tap& tap,
                                    StatusLine& status) {
  Engine engine(trace.model, engine_options(options, trace));
  Request request = greedy_request(trace, options.generate + 1);
  request.tap = &tap;  // the engine ends first
  Outcome outcome = run_request(
      engine, std::move(request), nullptr, counting(status, "tracing", options.generate));
  if (!outcome.ids.empty()) outcome.ids.pop_back();
  return std::move(outcome.ids);
}

void run_timed_generation(const TraceOptions& options, Trace& trace, StatusLine& status) {
  RequestSpans& spans = trace.requests.emplace(trace.time.origin());
  EngineOptions settings = engine_options(options, trace);
  settings.on_step = [&spans](const StepReport& step) { spans.add(step); };
  settings.operations = &trace.time;
  Engine engine(trace.model, settings);
  Request warm_up = greedy_request(trace, 1);
  warm_up.cache_salt = "warm-up";  // the timed request must not find its prompt in the cache
  run_request(engine, std::move(warm_up), nullptr, go_on);
  trace.time.clear();
  spans.clear();
  const auto begin = std::chrono::steady_clock::now();
  run_request(engine,
              greedy_request(trace, options.generate + 1),
              nullptr,
              counting(status, "timing", options.generate));
  trace.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace qwen3::cli
