#include "cli/eval/report.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <optional>

#include "base/output_file.h"
#include "cli/console.h"
#include "cli/options.h"
#include "eval/report/report.h"
#include "eval/run/manifest.h"
#include "eval/run/run_files.h"
#include "eval/score/compare.h"
#include "eval/score/score_rows.h"
#include "eval/score/score_text.h"

namespace qwen3::cli {
namespace {

// The other run: judged in the same way, by its own files.
eval::ScoreOptions options_of_other(const eval::ScoreOptions& score, const std::string& path) {
  eval::ScoreOptions other = score;
  other.input_file = path;
  other.failures_file.clear();
  other.details_file.clear();
  return other;
}

void print_score(const eval::ScoreResult& result,
                 const eval::Comparison* comparison,
                 const eval::ScoreResult* other,
                 const EvalReportOptions& options,
                 bool as_json) {
  if (as_json) {
    Json json = eval::score_json(result);
    if (comparison != nullptr) {
      json["against"] = eval::comparison_json(*comparison);
      json["against"]["name"] = options.against;
    }
    print_json(json);
    return;
  }
  std::string text = result.strict ? eval::official_line(result) + "\n" : score_summary(result);
  if (comparison != nullptr) text += comparison_summary(*comparison, *other, options.against);
  print_out(text);
}

// "samples that failed: 2, lines that are not rows: 1": why the score is incomplete.
std::string what_is_missing(const eval::ScoreResult& result) {
  std::string text;
  const auto add = [&](int64_t n, const char* what) {
    if (n > 0) text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", what, n);
  };
  const auto size = [](const auto& list) { return static_cast<int64_t>(list.size()); };
  add(result.count(eval::Outcome::failed), "samples that failed");
  add(result.n_expected.value_or(result.n_samples) - result.n_samples, "samples that are missing");
  add(size(result.unreadable_lines) + (result.torn_line ? 1 : 0), "lines that are not rows");
  add(size(result.lines_without_gen), "rows without \"gen\"");
  add(size(result.lines_without_answer), "rows without \"answer\"");
  return text;
}

}  // namespace

void add_eval_report_options(CLI::App& command, EvalReportOptions& options) {
  command.add_option("--html", options.html, "Write the report: one page with everything")
      ->type_name("FILE");
  command
      .add_option("--against",
                  options.against,
                  "Compare with the answers of another run of the same dataset")
      ->type_name("FILE");
  command.add_option("--lang", options.language, "The language in which the page opens: en or zh")
      ->check(one_of({"en", "zh"}))
      ->capture_default_str();
}

void check_report_path(const EvalReportOptions& options) {
  make_folder_of(options.html);
  check_writable(options.html);
}

ExitCode score_and_report(const eval::ScoreOptions& score,
                          const EvalReportOptions& options,
                          const OutputOptions& output) {
  const eval::ScoreResult result = eval::score_file(score);
  std::optional<eval::ScoreResult> other;
  std::optional<eval::Comparison> comparison;
  if (!options.against.empty()) {
    other = eval::score_file(options_of_other(score, options.against));
    comparison = eval::compare(result, *other, {score.confidence, score.resamples, score.seed});
  }
  if (!options.html.empty()) {
    const auto run_of = [](const std::filesystem::path& file, const eval::ScoreResult& scored) {
      return eval::ReportRun{file.string(), scored, eval::read_manifest(eval::manifest_path(file))};
    };
    eval::ReportInput input{.run = run_of(score.input_file, result)};
    if (other) input.other.emplace(run_of(options.against, *other));
    input.comparison = comparison ? &*comparison : nullptr;
    input.chinese = options.language == "zh";
    write_page(options.html, html_report(input), output);
  }
  print_score(
      result, comparison ? &*comparison : nullptr, other ? &*other : nullptr, options, output.json);
  if (result.complete()) return kDone;
  if (output.talk()) {
    print_note(fmt::format("qwen3 eval: the score is incomplete: {}; the exit code is 1",
                           what_is_missing(result)));
  }
  return kFailed;
}

}  // namespace qwen3::cli
