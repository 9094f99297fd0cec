// run(): parse, act, report. The parser lets unknown words through so that this file can name the
// nearest known one; nothing is done before they have been refused.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/certificate_file.h"
#include "base/error.h"
#include "base/input_file.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/config_file.h"
#include "cli/console.h"
#include "cli/foreign_words.h"
#include "cli/given_options.h"
#include "cli/help.h"
#include "cli/launcher.h"
#include "cli/options.h"

namespace qwen3::cli {
namespace {

// The subcommand that was chosen (of a subcommand, as in `eval merge`), or the program itself.
CLI::App& chosen(CLI::App& app) {
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

// A word that stands where no text is taken: which option it may have been meant for.
std::string meant_for(const CLI::App& command, const std::string& word) {
  const auto takes = [&](const char* name) { return command.get_option_no_throw(name) != nullptr; };
  if (command.get_option_no_throw("TEXT") != nullptr)
    return "put a text of several words in quotes";
  if (takes("--prompt")) return fmt::format("a prompt is --prompt \"{}\"", quote_for_message(word));
  if (takes("--config")) return fmt::format("a config is --config {}", quote_for_message(word));
  if (takes("--model")) return fmt::format("a model is -m {}", quote_for_message(word));
  return command_name(command) + " --help shows the usage";
}

// Refuses the first word that nothing on the command line asked for.
void refuse_unknown(CLI::App& app) {
  const std::vector<std::string> unknown = app.remaining(true);
  if (unknown.empty()) return;
  const CLI::App& command = chosen(app);
  std::string word = unknown.front();
  const std::string where = command_name(app);
  const std::vector<std::string> before = app.remaining(false);
  if (!before.empty() && &command != &app && before.front().starts_with("-")) {
    throw UsageError(fmt::format("qwen3: option \"{}\" stands before the command; write {} {} …",
                                 quote_for_message(before.front()),
                                 where,
                                 quote_for_message(before.front())));
  }
  if (word.starts_with("-") && word.size() > 1) {
    word = word.substr(0, word.find('='));
    throw UsageError(fmt::format("{}: unknown option \"{}\"{}; {} --help lists the options",
                                 where,
                                 word,
                                 remedy_for_option(word, option_names(command)),
                                 where));
  }
  if (!is_group(command)) {
    throw UsageError(
        fmt::format("{}: unexpected argument \"{}\"; {}", where, word, meant_for(command, word)));
  }
  std::vector<std::string> names;
  for (const CLI::App* sub : visible_commands(command)) names.push_back(sub->get_name());
  throw UsageError(fmt::format("{}: unknown command \"{}\"{}; known are {}",
                               where,
                               word,
                               remedy_for_command(word, names),
                               fmt::join(names, ", ")));
}

// The words as the parser takes them: -h is no prefix of -hf, and help is a command.
std::vector<std::string> words_of(int argc, const char* const* argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  refuse_foreign_options(words);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "-h" && (i == 0 || !words[i - 1].starts_with("--"))) words[i] = "--help";
  }
  return words;
}

// The parser's own words, where they are no sentence of ours.
std::string in_our_words(const CLI::ParseError& error) {
  const std::string text = error.what();
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) == nullptr) return text;
  const bool several = text.find("At most") != text.npos || text.find("but got") != text.npos;
  return text.substr(0, text.find(':')) +
         (several ? ": expected one value; got several" : ": expected a value; got none");
}

// One line for each command, at the end of its --help.
constexpr std::pair<std::string_view, std::string_view> kExamples[] = {
    {"chat", "qwen3 chat -m nano \"Sort 7, 3 and 9.\""},
    {"generate", "qwen3 generate -m nano --prompt \"Once\" --max-tokens 20"},
    {"logits", "qwen3 logits -m nano --ids 1,2,3 --out logits.npy"},
    {"tokenize", "echo '{\"text\":\"Hello\"}' | qwen3 tokenize"},
    {"render", "echo '{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}' | qwen3 render"},
    {"inspect", "qwen3 inspect -m nano-moe"},
    {"bench", "qwen3 bench -m nano --context 0,1024 --batch 1,16"},
    {"trace", "qwen3 trace -m nano-moe --prompt \"2 + 2 =\" --html trace.html"},
    {"serve", "qwen3 serve -m nano-moe --port 8000"},
    {"eval", "qwen3 eval run --config eval/configs/nano_arc-nano.yaml -m nano"},
    {"quantize", "qwen3 quantize -m nano --type Q8_0 -o nano-Q8_0.gguf"},
    {"verify", "qwen3 verify -m nano"},
    {"pull", "qwen3 pull Qwen/Qwen3-0.6B"},
    {"list", "qwen3 list"},
    {"show", "qwen3 show Qwen/Qwen3-0.6B"},
    {"rm", "qwen3 rm Qwen/Qwen3-0.6B"},
    {"config", "qwen3 config chat"},
    {"version", "qwen3 version"}};

// --config-file of the program, and of every command: --config too, where that is nothing else.
void add_config_file_option(CLI::App& command, std::string& path) {
  const std::vector<CLI::App*> subcommands =
      command.get_subcommands([](CLI::App*) { return true; });
  for (CLI::App* sub : subcommands) add_config_file_option(*sub, path);
  if (command.get_parent() != nullptr && !subcommands.empty()) return;
  const bool taken = command.get_option_no_throw("--config") != nullptr;
  command
      .add_option(taken ? "--config-file" : "--config-file,--config",
                  path,
                  "YAML file of options; none: no file")
      ->check(some_name())
      ->default_str("the user's")
      ->type_name("FILE")
      ->group("Settings");
}

// What the config file says: the one that is named, or the user's, if there is one.
ConfigFile read_config_file(const CLI::App& app, const std::string& named) {
  std::filesystem::path path = config_file_path(named);
  const char* variable = std::getenv("QWEN3_CONFIG_FILE");
  const bool must_be = !named.empty() || (variable != nullptr && *variable != '\0');
  if (path.empty() || (!must_be && !InputFile::open_if_there(path))) return {};
  return {path, app};
}

ExitCode parse_and_act(int argc, const char* const* argv) {
  Action action;
  CLI::App app("Qwen3 language models on the command line.", "qwen3");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", "qwen3 " QWEN3_VERSION, "Print the version and exit");
  app.set_help_flag("--help", "Print this help and exit; -h does too");
  app.allow_extras();
  app.require_subcommand(0, 1);
  app.footer(
      "Exit codes: 0 done, 1 the work failed, 2 wrong usage. Results go to stdout, everything else "
      "to stderr.\nqwen3 COMMAND --help shows the options of a command. An option that is not "
      "typed comes from the environment (QWEN3_MAX_TOKENS=20 is --max-tokens 20), else from the "
      "config file, else it has its default: qwen3 config says which.");
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
  add_verify(app, action);
  add_pull(app, action);
  add_list(app, action);
  add_show(app, action);
  add_rm(app, action);
  std::string config_file;
  std::optional<GivenOptions> given;
  add_config(app, action, {app, config_file, given});
  add_version(app, action);
  add_completions(app, action);
  add_manual(app, action);
  add_config_file_option(app, config_file);
  for (const auto& [command, example] : kExamples) {
    app.get_subcommand(std::string(command))->footer(fmt::format("Example: {}", example));
  }
  std::vector<std::string> words = words_of(argc, argv);
  relax_required(app);
  std::reverse(words.begin(), words.end());  // as CLI::App::parse wants them
  try {
    app.parse(std::move(words));
  } catch (const CLI::CallForVersion& request) {
    print_out(std::string(request.what()) + "\n");
    return kDone;
  } catch (const CLI::CallForHelp&) {
    print_out(app.help());
    return kDone;
  } catch (const CLI::ParseError& error) {
    refuse_unknown(app);
    throw UsageError(fmt::format("{}: {}", command_name(app), in_our_words(error)));
  }
  refuse_unknown(app);
  if (!action) {
    const std::string where = command_name(app);
    std::vector<std::string> names;
    for (const CLI::App* sub : visible_commands(chosen(app))) names.push_back(sub->get_name());
    throw UsageError(fmt::format("{}: no command given; known are {}; {} --help says what they do",
                                 where,
                                 fmt::join(names, ", "),
                                 where));
  }
  given.emplace(read_config_file(app, config_file));
  given->apply(chosen(app), command_name(app).substr(app.get_name().size() + 1));
  const auto own_words = std::span(argv, static_cast<size_t>(argc)).subspan(1);
  if (const auto code = start_ranks(chosen(app), command_name(app), own_words)) return *code;
  return action();
}

}  // namespace

int run(int argc, const char* const* argv) {
  if (!open_standard_streams()) return kFailed;  // nowhere to say why
  const NotesFlushedAtEnd flushed;
  try {
    // The last one that is set wins, as in curl.
    for (const char* variable : {"SSL_CERT_FILE", "CURL_CA_BUNDLE"}) {
      const char* file = std::getenv(variable);
      if (file != nullptr && *file != '\0') set_certificate_file(file);
    }
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
