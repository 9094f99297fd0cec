#include "formats/gguf_names.h"

#include <fmt/format.h>

#include <charconv>

namespace qwen3 {
namespace {

struct NamePair {
  std::string_view gguf, hf;
};
constexpr NamePair kModelNames[] = {{"token_embd.weight", "model.embed_tokens.weight"},
                                    {"output_norm.weight", "model.norm.weight"},
                                    {"output.weight", "lm_head.weight"}};
// Between "blk.N." and ".weight" or ".bias". Stacks of experts are named as transformers 5 names them.
constexpr NamePair kLayerNames[] = {{"attn_norm", "input_layernorm"},
                                    {"ffn_norm", "post_attention_layernorm"},
                                    {"attn_q", "self_attn.q_proj"},
                                    {"attn_k", "self_attn.k_proj"},
                                    {"attn_v", "self_attn.v_proj"},
                                    {"attn_output", "self_attn.o_proj"},
                                    {"attn_q_norm", "self_attn.q_norm"},
                                    {"attn_k_norm", "self_attn.k_norm"},
                                    {"ffn_gate", "mlp.gate_proj"},
                                    {"ffn_up", "mlp.up_proj"},
                                    {"ffn_down", "mlp.down_proj"},
                                    {"ffn_gate_inp", "mlp.gate"},
                                    {"ffn_gate_exps", "mlp.experts.gate_proj"},
                                    {"ffn_up_exps", "mlp.experts.up_proj"},
                                    {"ffn_gate_up_exps", "mlp.experts.gate_up_proj"},
                                    {"ffn_down_exps", "mlp.experts.down_proj"}};

constexpr std::string_view kBlock = "blk.", kLayers = "model.layers.";

template <size_t n>
std::optional<std::string_view> gguf_to_hf(const NamePair (&names)[n], std::string_view gguf) {
  for (const NamePair& pair : names) {
    if (pair.gguf == gguf) return pair.hf;
  }
  return std::nullopt;
}

template <size_t n>
std::optional<std::string_view> hf_to_gguf(const NamePair (&names)[n], std::string_view hf) {
  for (const NamePair& pair : names) {
    if (pair.hf == hf) return pair.gguf;
  }
  return std::nullopt;
}

// What follows a prefix, as a layer's number and a name that ends in ".weight" or ".bias".
std::optional<GgufLayerTensor> parse_layer(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  GgufLayerTensor parts{};
  const char* begin = name.data() + prefix.size();
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(begin, end, parts.layer);
  const bool plain = error == std::errc() && parts.layer >= 0 && at != end && *at == '.' &&
                     fmt::format("{}", parts.layer) == std::string_view(begin, at);
  if (!plain) return std::nullopt;
  const std::string_view rest(at + 1, end);
  const size_t dot = rest.rfind('.');
  if (dot == rest.npos) return std::nullopt;
  parts.stem = rest.substr(0, dot);
  parts.suffix = rest.substr(dot);
  if (parts.suffix != ".weight" && parts.suffix != ".bias") return std::nullopt;
  return parts;
}

}  // namespace

std::optional<GgufLayerTensor> parse_gguf_layer_tensor(std::string_view gguf_name) {
  return parse_layer(gguf_name, kBlock);
}

std::optional<std::string> hf_tensor_name(std::string_view gguf_name) {
  if (const auto name = gguf_to_hf(kModelNames, gguf_name)) return std::string(*name);
  const std::optional<GgufLayerTensor> parts = parse_layer(gguf_name, kBlock);
  const auto name = parts ? gguf_to_hf(kLayerNames, parts->stem) : std::nullopt;
  if (!name) return std::nullopt;
  return fmt::format("{}{}.{}{}", kLayers, parts->layer, *name, parts->suffix);
}

std::optional<std::string> gguf_tensor_name(std::string_view hf_name) {
  if (const auto name = hf_to_gguf(kModelNames, hf_name)) return std::string(*name);
  const std::optional<GgufLayerTensor> parts = parse_layer(hf_name, kLayers);
  const auto name = parts ? hf_to_gguf(kLayerNames, parts->stem) : std::nullopt;
  if (!name) return std::nullopt;
  return fmt::format("{}{}.{}{}", kBlock, parts->layer, *name, parts->suffix);
}

}  // namespace qwen3
