// Options that are not typed: from the environment (QWEN3_MAX_TOKENS=20 is --max-tokens 20, for whatever command has
// that option), else from the config file. What is typed wins, and also against what it excludes.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "cli/config_file.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace qwen3::cli {

class GivenOptions {
 public:
  explicit GivenOptions(ConfigFile file) : file_(std::move(file)) {}

  // Gives the options of `command`, which has been parsed, what they have not been given. `name`: "eval run". A
  // variable that is empty is none; of a flag 1, on, yes and true set it, 0, off, no and false do not. Throws
  // UsageError naming the variable, or the file and its line, for a value that the option does not take.
  void apply(CLI::App& command, const std::string& name);

  // "QWEN3_TEMPERATURE", "config.yaml: line 3"; "" for an option that apply() left alone.
  std::string origin_of(const CLI::Option& option) const;

 private:
  void give(CLI::Option& option,
            const std::string& command,
            const std::vector<std::string>& words,
            const std::string& origin);

  const ConfigFile file_;
  std::map<const CLI::Option*, std::string> origins_;
};

// "QWEN3_MAX_TOKENS" of max-tokens.
std::string variable_of(std::string_view option);

// Options that a command requires, and that the environment gives, need not be typed.
void relax_required(CLI::App& command);

}  // namespace qwen3::cli
