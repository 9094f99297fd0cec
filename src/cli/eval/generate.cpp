// qwen3 eval generate, and qwen3 eval run, which scores what it generated.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "base/embedded_files.h"
#include "base/error.h"
#include "cli/console.h"
#include "cli/eval/commands.h"
#include "cli/eval/options.h"
#include "cli/eval/progress.h"
#include "cli/generation.h"
#include "cli/input.h"
#include "cli/numbers.h"
#include "cli/signals.h"
#include "eval/run/client.h"
#include "eval/run/engine_source.h"
#include "eval/score/score.h"

namespace qwen3::cli {
namespace {

std::string environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != 0 ? value : otherwise;
}

// The official time-out comes from the environment; a key of ours goes first.
void apply_environment(eval::EvalConfig& config) {
  if (config.timeout_seconds > 0) return;
  constexpr const char* kName = "OPENAI_API_REQUEST_TIMEOUT";
  const std::string text = environment(kName, "99999");
  const std::optional<int64_t> seconds = parse_integer(text);
  QWEN3_CHECK(seconds && *seconds > 0 && *seconds <= 1'000'000'000,
              ErrorKind::invalid_argument,
              "{}: expected a number of seconds; got {}",
              kName,
              quote_for_message(text));
  config.timeout_seconds = static_cast<double>(*seconds);
}

eval::StopWish wish_of(const StopSignals& signals) {
  if (signals.terminated() || signals.interrupts() > 1) return eval::StopWish::now;
  return signals.interrupts() == 1 ? eval::StopWish::finish : eval::StopWish::none;
}

std::unique_ptr<eval::AnswerSource> connect(const eval::GenerateOptions& run,
                                            const StopSignals& signals,
                                            EvalProgress& progress) {
  auto client = std::make_unique<eval::HttpClient>(
      run.config, run.mode, environment("OPENAI_API_KEY", "EMPTY"));
  client->find_servers([&] { return wish_of(signals) != eval::StopWish::none; },
                       [&](const std::string& line) { progress.note(line); });
  return client;
}

std::unique_ptr<eval::AnswerSource> load(const EvalOptions& options,
                                         const eval::GenerateOptions& run) {
  std::optional<ProgressBar> bar(std::in_place, options.console.talk());
  eval::EngineSourceOptions engine;
  engine.directory = resolve_model(options.model.model);
  engine.load = load_options(options.model);
  engine.load.progress = bar->callback();
  engine.max_model_len = options.model.context;
  engine.kv_dtype = options.model.kv_dtype;
  engine.version = run.version;
  auto source = std::make_unique<eval::EngineSource>(run.config, run.mode, engine);
  bar.reset();  // the line is free again
  if (options.console.talk()) print_note(model_line(source->model_info()));
  return source;
}

void say_how_it_went(const eval::GenerateReport& report,
                     const eval::EvalConfig& config,
                     EvalProgress& progress) {
  const eval::Tally& tally = report.tally;
  std::string line = fmt::format("{} of {} samples have an answer ({} new)",
                                 tally.there,
                                 tally.wanted,
                                 tally.there - tally.found);
  if (tally.completion_tokens > 0) {
    line += fmt::format(
        ", {} prompt and {} completion tokens", tally.prompt_tokens, tally.completion_tokens);
  }
  int64_t n_failed = 0;
  std::string kinds;
  for (const auto& [kind, count] : report.failures) {
    n_failed += count;
    kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", count, kind);
  }
  if (n_failed > 0) line += fmt::format("; {} failed ({})", n_failed, kinds);
  progress.note(line);
  if (!report.ended_by.empty()) {
    progress.note(fmt::format("ended early, because no request can succeed: {}", report.ended_by));
  }
  if (report.complete()) return;
  progress.note(
      fmt::format("not complete{}; run the same command again to resume (output file: {})",
                  report.stopped ? ": stopped" : "",
                  config.output_file));
}

// Scores the output file as `eval score` does with the same config.
ExitCode score_output(const EvalOptions& options, const eval::EvalConfig& config) {
  eval::ScoreOptions score;
  score.input_file = config.output_file;
  score.details_file = config.details_path;
  score.dataset_file = config.input_file;
  score.n_samples = config.n_samples;
  score.max_rows = options.limit;
  score.strict = options.strict;
  if (config.scores_choices()) score.task = "multiple_choice";  // the only one it can be
  if (!config.task_name.empty()) score.task = config.task_name;
  return score_and_report(score, options.report, options.console);
}

ExitCode generate_and_score(const EvalOptions& options) {
  const eval::EvalConfig config = eval_config(options);
  check_no_output_is_an_input("qwen3 eval run",
                              {{"input_file", config.input_file},
                               {"--config", options.config},
                               {"--against", options.report.against},
                               {"output_file", config.output_file}},
                              {{"--html", options.report.html}});
  check_report_path(options.report);
  const ExitCode generated = run_generate(options, config);
  // Without a single answer there is nothing to score.
  std::error_code error;
  const auto bytes = std::filesystem::file_size(config.output_file, error);
  if (generated != kDone && (error || bytes == 0)) return generated;
  const ExitCode scored = score_output(options, config);
  return generated != kDone ? generated : scored;
}

}  // namespace

ExitCode run_generate(const EvalOptions& options, const eval::EvalConfig& given) {
  check_no_output_is_an_input("qwen3 eval",
                              {{"input_file", given.input_file}, {"--config", options.config}},
                              {{"output_file", given.output_file}});
  eval::GenerateOptions run;
  run.config = given;
  run.mode = eval_mode(options);
  run.shard = parse_shard(options.shard);
  run.max_rows = options.limit;
  run.accept_served = options.accept_changed_server;
  run.version = QWEN3_VERSION;
  apply_environment(run.config);
  QWEN3_CHECK(
      file_exists(given.input_file),
      ErrorKind::not_found,
      "{}: no such dataset (paths are relative to the working directory); give another with "
      "--input, or make one: qwen3 eval prepare --help",
      given.input_file);

  const StopSignals signals;
  EvalProgress progress(options.console.talk());
  bool said = false;
  eval::GenerateHooks hooks;
  hooks.note = [&](const std::string& line) { progress.note(line); };
  hooks.progress = [&](const eval::Tally& tally, const std::string& condition) {
    progress.show(tally, condition);
  };
  hooks.stop = [&] {
    const eval::StopWish wish = wish_of(signals);
    if (wish == eval::StopWish::finish && !std::exchange(said, true)) {
      progress.note("waiting for the answers in progress; press Ctrl-C again to drop them");
    }
    return wish;
  };
  const auto make_source = [&]() -> std::unique_ptr<eval::AnswerSource> {
    return options.in_process ? load(options, run) : connect(run, signals, progress);
  };
  const eval::GenerateReport report = eval::generate(run, make_source, hooks);
  say_how_it_went(report, run.config, progress);
  return report.complete() ? kDone : kFailed;
}

void add_eval_generate(CLI::App& eval, Action& action) {
  CLI::App* command = eval.add_subcommand(
      "generate", "Ask a server, or a model in this process, for an answer to every sample");
  const auto options = std::make_shared<EvalOptions>();
  add_eval_config_options(*command, *options);
  add_eval_generate_options(*command, *options);
  command->add_option("--shard", options->shard, "Part i of n of the dataset's rows: i/n");
  command->callback([options, &action] {
    action = [options] { return run_generate(*options, eval_config(*options)); };
  });
}

void add_eval_run(CLI::App& eval, Action& action) {
  CLI::App* command = eval.add_subcommand("run", "Generate, then score what was generated");
  const auto options = std::make_shared<EvalOptions>();
  add_eval_config_options(*command, *options);
  add_eval_generate_options(*command, *options);
  add_eval_report_options(*command, options->report);
  command->callback(
      [options, &action] { action = [options] { return generate_and_score(*options); }; });
}

}  // namespace qwen3::cli
