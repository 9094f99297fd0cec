// What `qwen3 eval score` and `qwen3 eval run` share: a run is scored and, when asked for, compared
// with another one and drawn as a page.
#pragma once

#include <string>

#include "cli/commands.h"
#include "cli/options.h"
#include "eval/score/score.h"

namespace CLI {
class App;
}

namespace qwen3::cli {

struct EvalReportOptions {
  std::string html;             // "": no page
  std::string against;          // the answers of another run; "": none
  std::string language = "en";  // in which the page opens
};

void add_eval_report_options(CLI::App& command, EvalReportOptions& options);

// Makes the page's folder. Throws Error{io} when the page could not be written: to be said
// before any work begins.
void check_report_path(const EvalReportOptions& options);

// Scores, writes the page (after check_report_path), prints the summary (strict: the official
// line). kDone only when every sample was answered and read.
ExitCode score_and_report(const eval::ScoreOptions& score,
                          const EvalReportOptions& options,
                          const OutputOptions& output);

}  // namespace qwen3::cli
