// Presets: the sampling that Qwen's model cards recommend, by the family of the model. Nothing uses
// them unasked: a request says `preset: "thinking"`, a page offers them (meta.presets of /v1/models),
// an operator makes one the default of all requests (serve --preset). Where nobody says anything,
// generation_config.json rules as ever.
//
// The family shows in the chat template, because that is where the families differ:
//
//   hybrid     (Qwen3)             it reads enable_thinking           thinking, non_thinking
//   thinking   (Thinking-2507)     it opens <think> by itself         thinking
//   coder      (Qwen3-Coder)       it writes calls as <function=…>    non_thinking
//   instruct   (Instruct-2507)     none of these                      non_thinking
//   none       a model without a chat template, or not for generating
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qwen3/model.h"
#include "qwen3/request.h"
#include "qwen3/text.h"
#include "server/api/fields.h"

namespace qwen3::server {

struct Preset {
  std::string_view name;
  std::vector<std::pair<std::string_view, double>> values =
      {};                                    // by the names of sampling_fields()
  std::optional<bool> enable_thinking = {};  // absent: there is no choice

  void apply(SamplingParams& params) const;
};

// `quantised`: its weights have fewer than 16 bits, for which the cards advise a presence penalty.
std::vector<Preset> presets_for(const Text& text, bool quantised);

// Besides the names of presets: "none", and "auto", that of the mode that the model thinks in.
inline constexpr std::string_view kNoPreset = "none", kAutoPreset = "auto";

// "none": null; "auto": that of the mode (`thinking` empty: the template's own, which thinks where it can), null of a
// model without presets; else the one of that name. Throws Error{invalid_argument} when there is none:
// "preset: expected …; got …".
const Preset* choose_preset(std::span<const Preset> presets,
                            std::string_view name,
                            std::optional<bool> thinking);

// The request's `preset`; `fallback` when it names none. Throws ApiError.
struct AskedPreset {
  const Preset* preset = nullptr;
  bool of_request = false;
  bool by_name = false;  // its mode is asked for as well
};
AskedPreset read_preset(Fields& fields,
                        std::span<const Preset> presets,
                        std::string_view fallback,
                        std::optional<bool> thinking);

// {"thinking":{"temperature":0.6,…,"enable_thinking":true},…}
std::string presets_json(std::span<const Preset> presets);

}  // namespace qwen3::server
