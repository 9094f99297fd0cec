// qwen3 eval prepare: public data sets to prompt files.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <string>

#include "cli/console.h"
#include "cli/eval/commands.h"
#include "cli/options.h"
#include "eval/score/arc_prompts.h"

namespace qwen3::cli {
namespace {

struct PrepareOptions {
  std::string tasks, out;
  OutputOptions output;
};

ExitCode prepare_arc(const PrepareOptions& options) {
  const eval::ArcCounts counts = eval::write_arc_prompts(options.tasks, options.out);
  if (options.output.json) {
    print_json({{"tasks", counts.tasks}, {"rows", counts.rows}, {"file", options.out}});
  } else if (options.output.talk()) {
    print_note(fmt::format("{}: {} prompts of {} tasks", options.out, counts.rows, counts.tasks));
  }
  return kDone;
}

}  // namespace

void add_eval_prepare(CLI::App& eval, Action& action) {
  CLI::App* command = eval.add_subcommand("prepare", "Make a prompt file from public data");
  command->require_subcommand(0, 1);
  command->callback([command, &action] {
    if (command->get_subcommands().empty()) {
      action = []() -> ExitCode {
        throw UsageError(
            "qwen3 eval prepare: no data set given; available: arc (qwen3 eval prepare arc "
            "--help)");
      };
    }
  });
  CLI::App* arc = command->add_subcommand(
      "arc", "ARC-AGI task files (a folder of JSON files) to prompts in the official words");
  const auto options = std::make_shared<PrepareOptions>();
  arc->add_option("--tasks", options->tasks, "Folder with a JSON file for each task")
      ->type_name("DIR")
      ->required();
  arc->add_option("--out", options->out, "The prompt file to write")->type_name("FILE")->required();
  add_output_options(*arc, options->output, "One JSON object with the counts");
  arc->callback([options, &action] { action = [options] { return prepare_arc(*options); }; });
}

}  // namespace qwen3::cli
