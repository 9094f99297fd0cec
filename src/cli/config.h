// qwen3 config: what the options of the commands are when nothing is typed, and where that is said.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/given_options.h"

namespace qwen3::cli {

// The config file that is meant: the one that --config-file names, else QWEN3_CONFIG_FILE, else the user's. Empty for
// "none".
std::filesystem::path config_file_path(const std::string& named);

// What the command looks at when it runs; outlives it.
struct ConfigSubject {
  CLI::App& app;
  const std::string& config_file;      // as --config-file has it
  std::optional<GivenOptions>& given;  // there by then
};
void add_config(CLI::App& app, Action& action, ConfigSubject subject);

}  // namespace qwen3::cli
