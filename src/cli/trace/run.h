// One trace: the model, the ids, and everything that was seen.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/trace/options.h"
#include "qwen3/model.h"
#include "qwen3/text.h"
#include "trace/attention_recorder.h"
#include "trace/compare_tap.h"
#include "trace/logit_lens.h"
#include "trace/request_spans.h"
#include "trace/routing.h"
#include "trace/span_log.h"
#include "trace/statistics.h"

namespace qwen3::cli {

struct Trace {
  std::shared_ptr<Model> model;
  std::optional<Text> text;  // empty: no tokenizer
  std::vector<int32_t> ids;  // the prompt, and after run_trace() what was generated
  int64_t n_prompt = 0;
  std::optional<StatisticsTap> statistics;
  std::optional<RoutingRecorder> routing;
  std::optional<AttentionRecorder> attention;
  std::optional<LogitLens> lens;
  std::optional<CompareTap> compare;
  int64_t n_dumped = 0;
  SpanLog time;                            // of a pass without taps, and of no other
  std::optional<RequestSpans> requests;    // of that pass, when it was a request in an engine
  double seconds = 0, traced_seconds = 0;  // of that pass, and of the traced one

  int64_t n_generated() const { return static_cast<int64_t>(ids.size()) - n_prompt; }
  bool is_generated(int64_t position) const { return position >= n_prompt; }
  // The token's text; "#17" without a tokenizer.
  std::string token_text(int32_t id) const;
};

// Loads, runs and records; prints the lines of the level while it runs. `trace` keeps references to
// itself: it is made in place and stays there.
void run_trace(const TraceOptions& options, Trace& trace);

}  // namespace qwen3::cli
