#include "trace/tap_name.h"

#include <charconv>
#include <initializer_list>

namespace qwen3 {
namespace {

// Takes "<number>." or a final "<number>" off the front of `text`; -1 when there is none.
int64_t take_number(std::string_view& text) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) return -1;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (!text.empty() && text.front() == '.') text.remove_prefix(1);
  return value;
}

}  // namespace

TapName parse_tap_name(std::string_view name) {
  constexpr std::string_view kLayers = "layers.", kExperts = "mlp.experts.";
  TapName parsed;
  parsed.part = name;
  if (!name.starts_with(kLayers)) return parsed;
  std::string_view rest = name.substr(kLayers.size());
  parsed.layer = take_number(rest);
  if (parsed.layer < 0) return parsed;
  parsed.part = rest;
  if (!rest.starts_with(kExperts)) return parsed;
  std::string_view step = rest.substr(kExperts.size());
  parsed.expert = take_number(step);
  if (parsed.expert < 0) return parsed;
  parsed.part = rest.substr(0, kExperts.size() - 1);
  parsed.step = step;
  return parsed;
}

std::vector<std::string> all_tap_names(const ModelShape& shape) {
  std::vector<std::string> names{"rotary_cos", "rotary_sin", "embed_tokens"};
  for (int64_t i = 0; i < shape.num_hidden_layers; ++i) {
    const std::string layer = "layers." + std::to_string(i) + ".";
    const auto add = [&](const std::string& block, std::initializer_list<const char*> parts) {
      for (const char* part : parts) names.push_back(layer + block + part);
    };
    add("", {"input_layernorm"});
    add("self_attn.", {"q_proj", "k_proj", "v_proj"});
    if (shape.qk_norm_after_rope) {
      add("self_attn.", {"q_rope", "k_rope", "q_norm", "k_norm"});
    } else {
      add("self_attn.", {"q_norm", "k_norm", "q_rope", "k_rope"});
    }
    add("self_attn.", {"probs", "mix", "o_proj"});
    add("", {"attn_residual", "post_attention_layernorm"});
    if (!shape.is_sparse(i)) {
      add("mlp.", {"gate_proj", "up_proj", "act", "down_proj"});
    } else {
      add("mlp.", {"router_logits", "routing_weights", "selected_experts"});
      for (int64_t e = 0; e < shape.num_experts; ++e) {
        add("mlp.experts." + std::to_string(e), {".input", ".gate_proj", ".up_proj", ".act", ""});
      }
      add("mlp.", {"output"});
    }
    add("", {"output"});
  }
  names.insert(names.end(), {"norm", "logits"});
  return names;
}

}  // namespace qwen3
