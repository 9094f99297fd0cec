// The program's config file: options by their names, for every command that has them and for one alone.
//
//   threads: 8                  # whatever command has --threads
//   chat:
//     model: Qwen/Qwen3-0.6B    # qwen3 chat alone
//     stop: ["\n\n", END]       # an option that may be repeated
//   eval:
//     run: {limit: 40}          # qwen3 eval run
//
// A value is the word that would stand on the command line, so that "on" stays "on"; options are checked
// when a command takes them. Names may be written with _ in the place of -.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace qwen3::cli {

class ConfigFile {
 public:
  struct Value {
    std::vector<std::string> words;
    std::string where;  // "config.yaml: line 3"
  };

  ConfigFile() = default;  // says nothing

  // Throws Error for a file that cannot be read or is no YAML, UsageError for what is no option of a
  // command of `app`, and for values of a wrong kind.
  ConfigFile(const std::filesystem::path& path, const CLI::App& app);

  // What it says of an option of the command "eval run"; null: nothing. The nearest section wins.
  const Value* find(std::string_view command, const CLI::Option& option) const;

 private:
  class Reader;
  using Section = std::map<std::string, Value>;  // by the option's first name

  std::map<std::string, Section> sections_;  // by the command: "", "chat", "eval", "eval run"
};

// $XDG_CONFIG_HOME/qwen3/config.yaml, or ~/.config/qwen3/config.yaml; empty without a home.
std::filesystem::path default_config_file();

// Whether an option may be given by the environment or a config file: --help, --version, --yes and --config-file
// are typed.
bool may_be_preset(const CLI::Option& option);

}  // namespace qwen3::cli
