// Presets: the sampling that Qwen's model cards recommend, by the family of the model. Nothing uses
// them unasked: a request says `preset: "thinking"`, a page offers them (meta.presets of /v1/models).
// Where a request says nothing, generation_config.json rules as ever.
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

// The one that `preset` names; null when the request names none.
const Preset* read_preset(Fields& fields, std::span<const Preset> presets);

// {"thinking":{"temperature":0.6,…,"enable_thinking":true},…}
std::string presets_json(std::span<const Preset> presets);

}  // namespace qwen3::server
