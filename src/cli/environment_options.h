// Options from the environment: QWEN3_MAX_TOKENS=20 is --max-tokens 20, for whatever command has that option, unless
// the command line gives it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace qwen3::cli {

class EnvironmentOptions {
 public:
  // Puts them behind the command among `words`, which are in the order they were typed. A variable that is empty is
  // none; of a flag 1, on, yes and true set it, 0, off, no and false do not. --help, --version and --yes are typed.
  // Throws UsageError for a flag's variable that is neither.
  EnvironmentOptions(const CLI::App& app, std::vector<std::string>& words);

  // " (from QWEN3_TEMPERATURE)" for a complaint that begins with an option that came from there; else nothing.
  std::string origin_of(std::string_view complaint) const;

 private:
  struct Given {
    std::string option, variable;
  };
  std::vector<Given> given_;
};

}  // namespace qwen3::cli
