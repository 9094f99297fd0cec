// The report of a scored run, and of how it differs from another: one HTML page that needs nothing
// else (base/html_page.h). report/page.js draws it; docs/evaluation.md shows what is on it.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "eval/score/compare.h"
#include "eval/score/score.h"

namespace qwen3::eval {

struct ReportRun {
  std::string name;  // what people call it: the file
  const ScoreResult& score;
  std::optional<Json> manifest = {};  // what made it, when that is known
};

struct ReportInput {
  ReportRun run;
  std::optional<ReportRun> other = {};     // what it is compared with
  const Comparison* comparison = nullptr;  // of the two; REQUIRES: with `other`, and only then
  bool chinese = false;                    // the language it opens in
};

// A page holds what a browser can hold: up to kMaxReportSamples samples and kMaxReportBytes of
// their texts a run, those that were not right first; a single text is cut in its middle. What was
// left out is counted on the page.
inline constexpr size_t kMaxReportSamples = 50'000;
inline constexpr size_t kMaxReportBytes = 24'000'000;

std::string html_report(const ReportInput& input);

}  // namespace qwen3::eval
