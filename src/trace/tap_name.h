// TapName: a tap's name (tap.h) taken apart, so that listeners compare words and parse nothing.
//   "layers.3.self_attn.q_proj"    layer 3, part "self_attn.q_proj"
//   "layers.3.mlp.experts.17.act"  layer 3, part "mlp.experts", expert 17, step "act"
//   "layers.3.mlp.experts"         layer 3, part "mlp.experts": any of them (Tap::wants)
//   "norm"                         layer -1, part "norm"
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "qwen3/shape.h"

namespace qwen3 {

inline constexpr std::string_view kExpertsPart = "mlp.experts";

struct TapName {
  int64_t layer = -1;
  int64_t expert = -1;
  std::string_view part;
  std::string_view step;  // inside an expert: input, gate_proj, up_proj, act; "" is its output
};

// Views into `name`. A name of another form has layer -1 and is its own part.
TapName parse_tap_name(std::string_view name);

// Every name that a forward pass of this model can show, in order. Of the experts, those that no
// token chooses will not come; "probs" comes from the reference backend only.
std::vector<std::string> all_tap_names(const ModelShape& shape);

}  // namespace qwen3
