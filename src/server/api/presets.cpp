#include "server/api/presets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/json.h"
#include "chat/text.h"
#include "qwen3/sampling.h"

namespace qwen3::server {
namespace {

enum class Family { none, hybrid, thinking, coder, instruct };

// How the template leaves a plain question.
PromptState state_of_question(const Text& text) {
  try {
    return text.encode_chat(R"([{"role":"user","content":"Hello"}])").state;
  } catch (const Error&) {
    return PromptState::plain;  // a template with demands of its own
  }
}

Family family_of(const Text& text) {
  if (!text.has_chat_template()) return Family::none;
  const ChatTemplate& chat = chat_config_of(text).template_for(false);
  if (chat.reads("enable_thinking") || chat.reads("thinking")) return Family::hybrid;
  if (state_of_question(text) == PromptState::inside_thinking) return Family::thinking;
  if (chat.source().find("<function=") != std::string::npos) return Family::coder;
  return Family::instruct;
}

// Cards of Qwen3, Qwen3-2507: "presence_penalty 1.5" against loops of quantised models.
Preset thinking_preset(bool quantised) {
  return {.name = "thinking",
          .values = {{"temperature", 0.6},
                     {"top_p", 0.95},
                     {"top_k", 20},
                     {"min_p", 0},
                     {"presence_penalty", quantised ? 1.5 : 0},
                     {"repetition_penalty", 1}}};
}

Preset plain_preset(double presence_penalty, double repetition_penalty) {
  return {.name = "non_thinking",
          .values = {{"temperature", 0.7},
                     {"top_p", 0.8},
                     {"top_k", 20},
                     {"min_p", 0},
                     {"presence_penalty", presence_penalty},
                     {"repetition_penalty", repetition_penalty}}};
}

}  // namespace

void Preset::apply(SamplingParams& params) const {
  for (const auto& [field, value] : values) find_sampling_field(field)->set(params, value);
}

std::vector<Preset> presets_for(const Text& text, bool quantised) {
  Preset thinking = thinking_preset(quantised);
  Preset plain = plain_preset(quantised ? 1.5 : 0, 1);
  switch (family_of(text)) {
    case Family::none:
      return {};
    case Family::hybrid:
      thinking.enable_thinking = true;
      plain.enable_thinking = false;
      return {thinking, plain};
    case Family::thinking:
      return {thinking};
    case Family::coder:
      return {plain_preset(0, 1.05)};
    case Family::instruct:
      return {plain};
  }
  return {};
}

const Preset* choose_preset(std::span<const Preset> presets,
                            std::string_view name,
                            std::optional<bool> thinking) {
  if (name == kNoPreset) return nullptr;
  const bool automatic = name == kAutoPreset;
  const auto fits = [&](const Preset& preset) {
    if (!automatic) return preset.name == name;
    return !preset.enable_thinking || *preset.enable_thinking == thinking.value_or(true);
  };
  const auto found = std::ranges::find_if(presets, fits);
  if (found != presets.end()) return &*found;
  if (automatic) return nullptr;
  std::vector<std::string_view> names = {kNoPreset, kAutoPreset};
  for (const Preset& preset : presets) names.push_back(preset.name);
  fail(ErrorKind::invalid_argument,
       "preset: expected {} (of this model); got {}",
       fmt::join(names, " or "),
       quote_for_message(name, 60));
}

AskedPreset read_preset(Fields& fields,
                        std::span<const Preset> presets,
                        std::string_view fallback,
                        std::optional<bool> thinking) {
  const auto asked = fields.text("preset", 64);
  const std::string_view name = asked ? std::string_view(*asked) : fallback;
  try {
    return {.preset = choose_preset(presets, name, thinking),
            .of_request = asked.has_value(),
            .by_name = name != kAutoPreset};
  } catch (const Error& error) {
    const std::string_view message = error.what();
    refuse("preset", std::string(message.substr(message.find(": ") + 2)));
  }
}

std::string presets_json(std::span<const Preset> presets) {
  std::string out = "{";
  for (const Preset& preset : presets) {
    fmt::format_to(std::back_inserter(out), R"({}"{}":{{)", out.size() > 1 ? "," : "", preset.name);
    for (const auto& [field, value] : preset.values) {
      fmt::format_to(
          std::back_inserter(out), R"({}"{}":{})", out.back() == '{' ? "" : ",", field, value);
    }
    if (preset.enable_thinking) {
      out += *preset.enable_thinking ? R"(,"enable_thinking":true)" : R"(,"enable_thinking":false)";
    }
    out += '}';
  }
  return out + "}";
}

}  // namespace qwen3::server
