// What GGUF calls Hugging Face's tensors: one table, for reading and for writing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qwen3 {

// "blk.7.attn_q.bias" in its parts.
struct GgufLayerTensor {
  int32_t layer;
  std::string_view stem, suffix;  // "attn_q", ".bias"
};
std::optional<GgufLayerTensor> parse_gguf_layer_tensor(std::string_view gguf_name);

// "model.layers.7.self_attn.q_proj.bias" of "blk.7.attn_q.bias", and back. Stacks of experts are
// named as transformers 5 names them: "model.layers.7.mlp.experts.gate_proj.weight". Nothing for names
// that the models do not have.
std::optional<std::string> hf_tensor_name(std::string_view gguf_name);
std::optional<std::string> gguf_tensor_name(std::string_view hf_name);

}  // namespace qwen3
