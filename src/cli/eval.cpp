// qwen3 eval: the commands that measure models.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "cli/eval_commands.h"

namespace qwen3::cli {

void add_eval(CLI::App& app, Action& action) {
  CLI::App* eval = app.add_subcommand("eval", "Measure models");
  eval->require_subcommand(0, 1);
  add_eval_perplexity(*eval, action);
  add_eval_divergence(*eval, action);
}

}  // namespace qwen3::cli
