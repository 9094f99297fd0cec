#include "cli/environment_options.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"

namespace qwen3::cli {
namespace {

// QWEN3_MAX_TOKENS of max-tokens.
std::string variable_of(std::string_view option) {
  std::string variable = "QWEN3_";
  for (const char c : option) {
    variable += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return variable;
}

bool is_typed(const CLI::Option& option, const std::vector<std::string>& words) {
  const auto names_it = [&](const std::string& word) {
    for (const std::string& name : option.get_lnames()) {
      if (word == "--" + name || word.starts_with("--" + name + "=")) return true;
    }
    for (const std::string& name : option.get_snames()) {
      if (word.starts_with("-" + name)) return true;
    }
    return false;
  };
  return std::any_of(words.begin(), words.end(), names_it);
}

bool is_set_by(const std::string& variable, const std::string& value) {
  const std::string word = ascii_lower(value);
  const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  if (is_one_of({"1", "on", "yes", "true"})) return true;
  if (is_one_of({"0", "off", "no", "false"})) return false;
  throw UsageError(fmt::format(
      "qwen3: {}: expected 1 or 0, on or off; got \"{}\"", variable, quote_for_message(value)));
}

}  // namespace

EnvironmentOptions::EnvironmentOptions(const CLI::App& app, std::vector<std::string>& words) {
  if (std::find(words.begin(), words.end(), "--help") != words.end()) return;
  const CLI::App* command = &app;
  size_t at = 0;
  for (; at < words.size(); ++at) {
    const auto subcommands = command->get_subcommands({});
    const auto next =
        std::find_if(subcommands.begin(), subcommands.end(), [&](const CLI::App* sub) {
          return sub->get_name() == words[at];
        });
    if (next == subcommands.end()) break;
    command = *next;
  }
  std::vector<std::string> more;
  for (const CLI::Option* option : command->get_options()) {
    if (option->get_lnames().empty()) continue;  // of a place, not of a name
    const std::string& name = option->get_lnames().front();
    if (name == "help" || name == "version" || name == "yes") continue;
    const std::string variable = variable_of(name);
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr || *value == '\0' || is_typed(*option, words)) continue;
    const bool is_flag = option->get_items_expected_max() == 0;
    if (is_flag && !is_set_by(variable, value)) continue;
    more.push_back("--" + name + (is_flag ? "" : "=" + std::string(value)));
    given_.push_back({"--" + name, variable});
  }
  words.insert(words.begin() + static_cast<std::ptrdiff_t>(at), more.begin(), more.end());
}

std::string EnvironmentOptions::origin_of(std::string_view complaint) const {
  for (const Given& given : given_) {
    if (complaint.starts_with(given.option + ":") || complaint.starts_with(given.option + " ")) {
      return fmt::format(" (from {})", given.variable);
    }
  }
  return {};
}

}  // namespace qwen3::cli
