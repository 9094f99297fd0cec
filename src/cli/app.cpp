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
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/certificate_file.h"
#include "base/error.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/environment_options.h"
#include "cli/help.h"

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

// What people who know other programs type first, and what there is here instead.
struct Foreign {
  std::string_view word, remedy;
};
constexpr std::string_view kDownload =
    "; a model is downloaded by name once: qwen3 pull Qwen/Qwen3-0.6B, then qwen3 chat -m "
    "Qwen/Qwen3-0.6B";
constexpr std::string_view kWholeModel =
    "; a model lies on one card as a whole, or on the processor: --backend cuda or --backend cpu";
constexpr Foreign kForeignOptions[] = {{"-hf", kDownload},
                                       {"-hfr", kDownload},
                                       {"--hf-repo", kDownload},
                                       {"-ngl", kWholeModel},
                                       {"--n-gpu-layers", kWholeModel},
                                       {"--gpu-layers", kWholeModel},
                                       {"--device", kWholeModel},
                                       {"--tensor-parallel-size", kWholeModel},
                                       {"-f", "; a text from a file: qwen3 chat \"…\" < FILE"},
                                       {"--file", "; a text from a file: qwen3 chat \"…\" < FILE"},
                                       {"-sys", "; the system message is --system"},
                                       {"--max-model-len", "; did you mean \"--context\"?"},
                                       {"--ctx-size", "; did you mean \"--context\"?"},
                                       {"--n-predict", "; did you mean \"--max-tokens\"?"}};
constexpr Foreign kForeignCommands[] = {{"download", kDownload},
                                        {"run", "; did you mean \"chat\"? qwen3 chat -m MODEL"},
                                        {"ls", "; did you mean \"list\"?"},
                                        {"ps", "; a server answers GET /v1/models"},
                                        {"remove", "; did you mean \"rm\"?"},
                                        {"delete", "; did you mean \"rm\"?"}};

std::string remedy_for(std::string_view word,
                       std::span<const Foreign> foreign,
                       std::span<const std::string> known) {
  for (const Foreign& other : foreign) {
    if (other.word == word) return std::string(other.remedy);
  }
  return did_you_mean(word, known);
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
void refuse_unknown(const CLI::App& app) {
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
                                 remedy_for(word, kForeignOptions, option_names(command)),
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
                               remedy_for(word, kForeignCommands, names),
                               fmt::join(names, ", ")));
}

// Before the parser takes "-ngl" for "-n gl".
void refuse_foreign(std::span<const std::string> words) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0 && words[i - 1].starts_with("--")) continue;  // its value, perhaps
    for (const Foreign& option : kForeignOptions) {
      if (words[i] != option.word || words[i].starts_with("--")) continue;
      throw UsageError(fmt::format("qwen3: unknown option \"{}\"{}", words[i], option.remedy));
    }
  }
}

// The words as the parser takes them: -h is no prefix of -hf, and help is a command.
std::vector<std::string> words_of(int argc, const char* const* argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  refuse_foreign(words);
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
  return text.substr(0, text.find(':')) + ": expected a value; got none";
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
    {"version", "qwen3 version"}};

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
      "to stderr.\nqwen3 COMMAND --help shows the options of a command. QWEN3_MAX_TOKENS=20 in the "
      "environment is --max-tokens 20, and so for all of them.");
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
  add_version(app, action);
  add_completions(app, action);
  add_manual(app, action);
  for (const auto& [command, example] : kExamples) {
    app.get_subcommand(std::string(command))->footer(fmt::format("Example: {}", example));
  }
  std::vector<std::string> words = words_of(argc, argv);
  const EnvironmentOptions environment(app, words);
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
    const std::string complaint = in_our_words(error);
    throw UsageError(
        fmt::format("{}: {}{}", command_name(app), complaint, environment.origin_of(complaint)));
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
