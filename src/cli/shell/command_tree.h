// The commands and options of the program as data, read off its parser: what completions and the manual page are
// written from, so that they say what --help says.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace qwen3::cli {

enum class ValueKind { none, words, file, directory, file_or_directory, model, other };

struct OptionInfo {
  std::vector<std::string>
      names;  // "-m", "--model", as they are typed; of an argument its name alone
  std::string description;
  std::string group;         // the heading in --help
  std::string value;         // what stands for the value: "FILE", "{on,off}"; empty for a flag
  std::string default_text;  // empty without one
  ValueKind kind = ValueKind::none;
  std::vector<std::string> words;  // all there are, of ValueKind::words
  bool repeatable = false;
  bool required = false;
};

struct CommandInfo {
  std::string name;  // "run"
  std::string path;  // "eval run"; empty for the program
  std::string description;
  std::string footer;
  std::vector<OptionInfo> options, arguments;
  std::vector<CommandInfo> commands;
};

// What --help shows of `app` and of its commands; what it hides is left out.
CommandInfo command_tree(const CLI::App& app);

// `command` and all below it, each before its own.
std::vector<const CommandInfo*> flattened(const CommandInfo& command);

// The scripts that make a shell complete qwen3's command line. They end in a newline.
std::string bash_completions(const CommandInfo& program);
std::string zsh_completions(const CommandInfo& program);
std::string fish_completions(const CommandInfo& program);

// The manual page qwen3(1), as the macros of man(7), in UTF-8.
std::string manual_page(const CommandInfo& program, const std::string& version);

}  // namespace qwen3::cli
