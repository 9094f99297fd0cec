// --preset: the sampling that the model's card recommends (server/api/presets.h).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qwen3/model.h"
#include "server/api/presets.h"

namespace CLI {
class App;
}

namespace qwen3::cli {

void add_preset_option(CLI::App& command, std::string& preset);

// Those that the model has: with a presence penalty where its weights have fewer than 16 bits.
std::vector<server::Preset> presets_of(const Text& text, const ModelInfo& info);

// "none": null; "auto": the preset of that mode; else the one of that name. Throws UsageError when the model has
// no such preset.
const server::Preset* chosen_preset(std::span<const server::Preset> presets,
                                    std::string_view name,
                                    std::optional<bool> thinking);

}  // namespace qwen3::cli
