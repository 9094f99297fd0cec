// The report: one HTML page that holds everything recorded and needs nothing else. The page's style
// and scripts, one for each section, are in report/ and put into the program when it is built; the
// data goes in as one JSON text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "qwen3/shape.h"
#include "trace/attention_recorder.h"
#include "trace/logit_lens.h"
#include "trace/routing.h"
#include "trace/span_log.h"
#include "trace/statistics.h"

namespace qwen3 {

struct ReportToken {
  int32_t id = 0;
  std::string text;
};

// Borrows what was recorded. Other pointers may be null: that part of the page says so.
struct ReportInput {
  std::string model_name;
  const ModelShape* shape = nullptr;  // not null
  std::string subtitle;               // model, parameters, backend
  std::vector<ReportToken> tokens;    // of the prompt, then generated
  int64_t n_prompt = -1;              // tokens from here on were generated; -1: none
  int64_t n_not_recorded = 0;         // tokens after them that ran, but were not recorded
  std::vector<ReportToken> named;     // texts of the ids that the lens predicts
  const std::vector<TapRecord>* taps = nullptr;
  const std::vector<LayerRouting>* routing = nullptr;
  const LogitLens* lens = nullptr;
  const std::vector<LayerAttention>* attention = nullptr;
  const SpanLog* time = nullptr;
  double seconds = 0;
  bool chinese = false;  // the language it opens in
};

// The whole page. Text of tokens and models is data only: it can neither end the script that holds
// it nor become markup.
std::string html_report(const ReportInput& input);

}  // namespace qwen3
