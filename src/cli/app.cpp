// run(): parse, act, report. The parser lets unknown words through so that this file can name the
// nearest known one; nothing is done before they have been refused.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/nearest.h"

namespace qwen3::cli {
namespace {

// The subcommand that was chosen (of a subcommand, as in `eval merge`), or the program itself.
const CLI::App& chosen(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  return parsed.empty() ? app : chosen(*parsed.front());
}

std::string command_name(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  return app.get_name() + (parsed.empty() ? "" : " " + command_name(*parsed.front()));
}

// Whether the command is one of several under a name, which alone does nothing.
bool is_group(const CLI::App& command) { return !command.get_subcommands({}).empty(); }

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// Refuses the first word that nothing on the command line asked for.
void refuse_unknown(const CLI::App& app) {
  const std::vector<std::string> unknown = app.remaining(true);
  if (unknown.empty()) return;
  const CLI::App& command = chosen(app);
  std::string word = unknown.front();
  const std::string where = command_name(app);
  if (word.starts_with("-") && word.size() > 1) {
    word = word.substr(0, word.find('='));
    throw UsageError(fmt::format("{}: unknown option \"{}\"{}; {} --help lists the options",
                                 where,
                                 word,
                                 did_you_mean(word, option_names(command)),
                                 where));
  }
  if (!is_group(command)) {
    throw UsageError(fmt::format(
        "{}: unexpected argument \"{}\"; {} --help shows the usage", where, word, where));
  }
  std::vector<std::string> names;
  for (const CLI::App* sub : command.get_subcommands({})) names.push_back(sub->get_name());
  throw UsageError(fmt::format("{}: unknown command \"{}\"{}; known are {}",
                               where,
                               word,
                               did_you_mean(word, names),
                               fmt::join(names, ", ")));
}

ExitCode parse_and_act(int argc, const char* const* argv) {
  Action action;
  CLI::App app("Qwen3 language models on the command line.", "qwen3");
  app.set_version_flag("--version", "qwen3 " QWEN3_VERSION, "Print the version and exit");
  app.allow_extras();
  app.require_subcommand(0, 1);
  app.footer(
      "Exit codes: 0 done, 1 the work failed, 2 wrong usage. Results go to stdout, everything else "
      "to stderr.\nqwen3 COMMAND --help shows the options of a command.");
  add_chat(app, action);
  add_generate(app, action);
  add_logits(app, action);
  add_tokenize(app, action);
  add_render(app, action);
  add_inspect(app, action);
  add_bench(app, action);
  add_trace(app, action);
  add_serve(app, action);
  add_eval(app, action);
  add_quantize(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& request) {
    print_out(std::string(request.what()) + "\n");
    return kDone;
  } catch (const CLI::CallForHelp&) {
    print_out(app.help());
    return kDone;
  } catch (const CLI::ParseError& error) {
    refuse_unknown(app);
    throw UsageError(fmt::format("{}: {}", command_name(app), error.what()));
  }
  refuse_unknown(app);
  if (!action) {
    const std::string where = command_name(app);
    throw UsageError(
        fmt::format("{}: no command given; {} --help lists the commands", where, where));
  }
  return action();
}

}  // namespace

int run(int argc, const char* const* argv) {
  if (!open_standard_streams()) return kFailed;  // nowhere to say why
  const NotesFlushedAtEnd flushed;
  try {
    return parse_and_act(argc, argv);
  } catch (const UsageError& error) {
    print_error(error.what());
    return kWrongUsage;
  } catch (const std::bad_alloc&) {
    print_error("qwen3: out of memory; close other programs, or ask for less (--context)");
    return kFailed;
  } catch (const std::exception& error) {
    print_error(error.what());
    return kFailed;
  }
}

}  // namespace qwen3::cli
