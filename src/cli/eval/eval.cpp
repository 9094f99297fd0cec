// qwen3 eval: the evaluation, in steps that can be run alone. Each step has its own file.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "cli/commands.h"
#include "cli/eval/commands.h"

namespace qwen3::cli {

void add_eval(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "eval", "Measure a model: generate answers of a dataset, score them, perplexity of a text");
  command->require_subcommand(0, 1);  // refused by run(), in its own words
  add_eval_run(*command, action);
  add_eval_generate(*command, action);
  add_eval_merge(*command, action);
  add_eval_score(*command, action);
  add_eval_prepare(*command, action);
  add_eval_perplexity(*command, action);
  add_eval_divergence(*command, action);
}

}  // namespace qwen3::cli
