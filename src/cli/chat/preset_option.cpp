#include "cli/chat/preset_option.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/options.h"

namespace qwen3::cli {

void add_preset_option(CLI::App& command, std::string& preset) {
  const OptionGroup group(command, "Sampling");
  command
      .add_option("--preset",
                  preset,
                  "Sampling that the model's card recommends, beneath the options given: for this "
                  "mode, or auto: for the mode that the model thinks in")
      ->check(one_of({"none", "auto", "thinking", "non_thinking"}))
      ->capture_default_str();
}

std::vector<server::Preset> presets_of(const Text& text, const ModelInfo& info) {
  const bool whole = info.dtype == "float32" || info.dtype == "bfloat16" || info.dtype == "float16";
  return server::presets_for(text, !whole);
}

const server::Preset* chosen_preset(std::span<const server::Preset> presets,
                                    std::string_view name,
                                    std::optional<bool> thinking) {
  try {
    return server::choose_preset(presets, name, thinking);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

}  // namespace qwen3::cli
