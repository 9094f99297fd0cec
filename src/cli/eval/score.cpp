// qwen3 eval score: answers to numbers.
#include "eval/score/score.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <string>

#include "cli/eval/commands.h"
#include "cli/eval/report.h"
#include "cli/input.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "eval/run/run_files.h"
#include "eval/score/score_config.h"

namespace qwen3::cli {
namespace {

constexpr int64_t kMaxPassAt = 1'000'000;  // samples of one prompt

struct EvalScoreOptions {
  std::string config, input, details, task, failures, dataset, pass_at;
  eval::ScoreOptions score;
  EvalReportOptions report;
  OutputOptions output;
};

eval::ScoreOptions resolve(const EvalScoreOptions& options) {
  eval::ScoreOptions score = options.score;
  if (!options.config.empty()) eval::read_score_config(options.config, score);
  if (!options.input.empty()) score.input_file = options.input;
  if (!options.details.empty()) score.details_file = options.details;
  if (!options.task.empty()) score.task = options.task;
  score.failures_file = options.failures;
  score.dataset_file = options.dataset;
  if (!options.pass_at.empty()) {
    score.pass_at = parse_size_list(options.pass_at, "qwen3 eval score: --pass-at", 1, kMaxPassAt);
  }
  if (score.input_file.empty()) {
    throw UsageError(
        "qwen3 eval score: no answers given; name them by --input FILE or --config FILE");
  }
  return score;
}

std::string task_help() {
  std::string help = "What the answers are judged as (arc_agi_1)";
  for (const eval::TaskInfo& task : eval::all_tasks()) {
    help += std::string("\n") + task.name + ": " + task.summary;
  }
  return help;
}

void add_task_options(CLI::App& command, eval::TaskOptions& task) {
  command.add_flag(
      "--lenient", task.lenient, "Grids: where a fenced block is no JSON, look at earlier ones");
  command.add_flag("--ignore-case", task.ignore_case, "exact_match: a is A");
  command.add_flag("--ignore-punctuation", task.ignore_punctuation, "exact_match: without .,;!?");
  command.add_flag("--ignore-articles", task.ignore_articles, "exact_match: without a, an, the");
  command.add_option(
      "--path", task.paths, "json_match: compare this part only, a JSON pointer; may be repeated");
  command.add_option("--tolerance", task.tolerance, "json_match: numbers may differ by this much")
      ->check(number_in(0, 1e300));
  command.add_option("--choices", task.choices, "multiple_choice: how many letters there are (4)")
      ->check(integer_in(2, 26));
}

}  // namespace

void add_eval_score(CLI::App& eval, Action& action) {
  CLI::App* command = eval.add_subcommand("score", "Judge a file of answers");
  const auto options = std::make_shared<EvalScoreOptions>();
  eval::ScoreOptions& score_options = options->score;
  command
      ->add_option(
          "--config", options->config, "YAML file with eval_input_path, details_path and task_name")
      ->type_name("FILE");
  command->add_option("--input", options->input, "The answers: JSON lines with \"gen\"")
      ->type_name("FILE");
  command->add_option("--details", options->details, "Write every row with its verdict here")
      ->type_name("FILE");
  command->add_option("--task", options->task, task_help());
  command->add_flag("--strict",
                    score_options.strict,
                    "The official rules, line of output and details file, to the last digit");
  command
      ->add_option("--failures",
                   options->failures,
                   "The samples that failed (INPUT.failures.jsonl, when it is there)")
      ->type_name("FILE");
  command
      ->add_option(
          "--dataset", options->dataset, "The prompts: tells how many samples there should be")
      ->type_name("FILE");
  command->add_option("--n-samples", score_options.n_samples, "Samples wanted for each prompt (1)")
      ->check(integer_in(1, kMaxPassAt));
  command->add_option("--pass-at", options->pass_at, "The k of pass@k, as 1,5,10 (1,2,4,8…)");
  command->add_option("--confidence", score_options.confidence, "Level of the interval (0.95)")
      ->check(number_in(0.01, 0.9999));
  command->add_option("--resamples", score_options.resamples, "Resamples of the bootstrap (10000)")
      ->check(integer_in(1, 10'000'000));
  command->add_option("--seed", score_options.seed, "Seed of the bootstrap (1)")
      ->check(any_unsigned());
  add_task_options(*command, score_options.task_options);
  add_eval_report_options(*command, options->report);
  add_output_options(*command, options->output, "One JSON object with the score of every task");
  command->callback([options, &action] {
    action = [options] {
      const eval::ScoreOptions score = resolve(*options);
      // (The answers with their verdicts may replace the answers: nothing of them is lost.)
      const bool in_place = score.details_file == score.input_file;
      check_no_output_is_an_input(
          "qwen3 eval score",
          {{"--input", score.input_file},
           {"--input's manifest", eval::manifest_path(score.input_file)},
           {"--dataset", score.dataset_file},
           {"--config", options->config},
           {"--against", options->report.against}},
          {{"--html", options->report.html},
           {"--details", in_place ? std::filesystem::path() : score.details_file},
           {"--failures", score.failures_file}});
      check_report_path(options->report);
      return score_and_report(score, options->report, options->output);
    };
  });
}

}  // namespace qwen3::cli
