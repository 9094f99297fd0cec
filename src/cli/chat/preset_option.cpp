#include "cli/chat/preset_option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <vector>

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
  if (name == "none") return nullptr;
  const auto of_mode = [&](const server::Preset& preset) {
    return !preset.enable_thinking || *preset.enable_thinking == thinking.value_or(true);
  };
  const auto found = name == "auto" ? std::ranges::find_if(presets, of_mode)
                                    : std::ranges::find(presets, name, &server::Preset::name);
  if (found != presets.end()) return &*found;
  if (name == "auto") return nullptr;  // a model without presets
  std::vector<std::string_view> names = {"none", "auto"};
  for (const server::Preset& preset : presets) names.push_back(preset.name);
  throw UsageError(
      fmt::format("preset: expected {} (of this model); got {}", fmt::join(names, " or "), name));
}

}  // namespace qwen3::cli
