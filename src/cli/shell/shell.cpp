// qwen3 completions and qwen3 manual: what packages and shells ask the program for. --help does not list them.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/shell/command_tree.h"

namespace qwen3::cli {
namespace {

ExitCode print_completions(const CLI::App& app, const std::string& shell) {
  const CommandInfo program = command_tree(app);
  print_out(shell == "bash"  ? bash_completions(program)
            : shell == "zsh" ? zsh_completions(program)
                             : fish_completions(program));
  return kDone;
}

}  // namespace

void add_completions(CLI::App& app, Action& action) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completions", "Print what makes a shell complete qwen3");
  command->group("");
  command->add_option("SHELL", *shell, "Which shell")
      ->check(one_of({"bash", "zsh", "fish"}))
      ->required();
  command->callback([&app, shell, &action] {
    action = [&app, shell] { return print_completions(app, *shell); };
  });
}

void add_manual(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("manual", "Print the manual page, for man");
  command->group("");
  command->callback([&app, &action] {
    action = [&app] {
      print_out(manual_page(command_tree(app), QWEN3_VERSION));
      return kDone;
    };
  });
}

}  // namespace qwen3::cli
