// qwen3 eval merge: the shards of an evaluation made one.
#include "eval/run/merge.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>

#include "cli/console.h"
#include "cli/eval/commands.h"
#include "cli/eval/options.h"

namespace qwen3::cli {
namespace {

struct MergeCommand {
  EvalOptions eval;
  bool partial = false;
};

ExitCode merge(const MergeCommand& command) {
  eval::MergeOptions options;
  options.config = eval_config(command.eval);
  options.mode = eval_mode(command.eval);
  options.partial = command.partial;
  const eval::MergeReport report = eval::merge_shards(options);
  print_note(fmt::format("{}: {} of {} samples from {} shards",
                         report.output,
                         report.there,
                         report.wanted,
                         report.n_shards));
  return report.there == report.wanted ? kDone : kFailed;
}

}  // namespace

void add_eval_merge(CLI::App& eval, Action& action) {
  CLI::App* command = eval.add_subcommand("merge", "Join the output files of all shards into one");
  const auto options = std::make_shared<MergeCommand>();
  add_eval_config_options(*command, options->eval);
  add_eval_model_option(
      *command, options->eval, "The model that answered, when the shards were made with -m");
  command->add_flag("--partial", options->partial, "Merge although samples are missing");
  command->callback([options, &action] { action = [options] { return merge(*options); }; });
}

}  // namespace qwen3::cli
