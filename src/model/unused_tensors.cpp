#include "model/unused_tensors.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace qwen3 {
namespace {

std::string_view without_prefix(std::string_view name) {
  constexpr std::string_view kPrefix = "model.";
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

// The layer that a tensor says it belongs to; -1 for none.
int64_t layer_of(std::string_view name) {
  constexpr std::string_view kLayers = "layers.";
  name = without_prefix(name);
  if (!name.starts_with(kLayers)) return -1;
  int64_t layer = -1;
  std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  return layer;
}

bool ignorable(std::string_view name, const HfConfig& config) {
  name = without_prefix(name);
  return name.ends_with("rotary_emb.inv_freq") || name.starts_with("mtp.") ||
         (config.tie_word_embeddings && name == "lm_head.weight");
}

std::string objection(std::string_view name, const HfConfig& config, int64_t last_layer) {
  if (layer_of(name) >= config.num_hidden_layers) {
    return fmt::format("expected no layers beyond num_hidden_layers {}, got {} layers",
                       config.num_hidden_layers,
                       last_layer + 1);
  }
  if (name.ends_with("_proj.bias") && !config.attention_bias) {
    return "expected no biases, as attention_bias is false, got one";
  }
  return "expected the tensors of a Qwen3 model only, got one that it has no use for";
}

}  // namespace

void check_all_used(const TensorSource& files,
                    const std::unordered_set<const SourceTensor*>& used) {
  const HfConfig& config = files.config();
  const std::string* first = nullptr;
  int64_t last_layer = -1;
  for (const auto& [name, tensor] : files.tensors()) {
    last_layer = std::max(last_layer, layer_of(name));
    if (used.contains(&tensor) || ignorable(name, config)) continue;
    const bool before = first == nullptr || layer_of(name) < layer_of(*first) ||
                        (layer_of(name) == layer_of(*first) && name < *first);
    if (before) first = &name;
  }
  if (first == nullptr) return;
  fail(ErrorKind::corrupt_file,
       "{}: tensor {}: {}; are config and weights from the same model?",
       files.tensors().at(*first).file->name(),
       quote_for_message(*first),
       objection(*first, config, last_layer));
}

}  // namespace qwen3
