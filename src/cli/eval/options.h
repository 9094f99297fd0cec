// What `qwen3 eval generate`, `run` and `merge` share: the config, what the command line lays over
// it, and the run itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/eval/report.h"
#include "cli/options.h"
#include "eval/run/config.h"
#include "eval/run/generate.h"

namespace CLI {
class App;
}

namespace qwen3::cli {

struct EvalOptions {
  std::string config;
  bool strict = false;
  std::string input, output;           // "": as the config says
  std::vector<std::string> base_urls;  // empty: as the config says
  std::string shard;                   // "2/4"; "": all
  int64_t limit = 0;
  bool accept_changed_server = false;
  bool in_process = false;  // --model was given
  ModelOptions model;
  EvalReportOptions report;  // of `run`
  OutputOptions console;
};

void add_eval_config_options(CLI::App& command, EvalOptions& options);    // --config --strict …
void add_eval_generate_options(CLI::App& command, EvalOptions& options);  // --model --shard …
void add_eval_model_option(CLI::App& command, EvalOptions& options, const std::string& help);

// Reads the config, lays the options over it (a model of this process names itself), and names the
// keys that nobody knows.
eval::EvalConfig eval_config(const EvalOptions& options);
eval::Mode eval_mode(const EvalOptions& options);
// Throws UsageError unless the text is "i/n" with 1 <= i <= n.
eval::Shard parse_shard(const std::string& text);

// Generates, with progress and Ctrl-C, and says how it went on stderr. kDone only when every sample
// has its answer.
ExitCode run_generate(const EvalOptions& options, const eval::EvalConfig& config);

}  // namespace qwen3::cli
