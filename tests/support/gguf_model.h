// A Hugging Face directory as GGUF, as llama.cpp's converter writes it, with the numbers left as they
// are.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "formats/checkpoint.h"
#include "support/gguf_writer.h"
#include "tensor/convert.h"

namespace qwen3::test {

// "model.layers.3.mlp.up_proj.weight" to "blk.3.ffn_up.weight". Experts are not handled here.
inline std::string gguf_name(std::string name) {
  const auto replace = [&](std::string_view from, std::string_view to) {
    const size_t at = name.find(from);
    if (at != name.npos) name.replace(at, from.size(), to);
  };
  for (const auto& [from, to] : std::initializer_list<std::pair<const char*, const char*>>{
           {"model.embed_tokens", "token_embd"},
           {"model.norm", "output_norm"},
           {"lm_head", "output"},
           {"model.layers.", "blk."},
           {"input_layernorm", "attn_norm"},
           {"post_attention_layernorm", "ffn_norm"},
           {"self_attn.q_proj", "attn_q"},
           {"self_attn.k_proj", "attn_k"},
           {"self_attn.v_proj", "attn_v"},
           {"self_attn.o_proj", "attn_output"},
           {"self_attn.q_norm", "attn_q_norm"},
           {"self_attn.k_norm", "attn_k_norm"},
           {"mlp.gate_proj", "ffn_gate"},
           {"mlp.up_proj", "ffn_up"},
           {"mlp.down_proj", "ffn_down"},
           {"mlp.gate.", "ffn_gate_inp."}}) {
    replace(from, to);
  }
  return name;
}

inline std::string bytes_of(const SourceTensor& tensor) {
  std::string bytes(static_cast<size_t>(tensor.n_bytes), '\0');
  tensor.file->read(tensor.begin, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

inline void write_gguf_config(GgufWriter& gguf, const HfConfig& c) {
  const std::string a = c.moe() ? "qwen3moe" : "qwen3";
  const auto u32 = [&](std::string_view key, int64_t value) {
    gguf.u32(a + "." + std::string(key), static_cast<uint32_t>(value));
  };
  gguf.string("general.architecture", a);
  u32("block_count", c.num_hidden_layers);
  u32("context_length", c.max_position_embeddings);
  u32("embedding_length", c.hidden_size);
  u32("feed_forward_length", c.intermediate_size);
  u32("attention.head_count", c.num_attention_heads);
  u32("attention.head_count_kv", c.num_key_value_heads);
  u32("attention.key_length", c.head_dim);
  u32("attention.value_length", c.head_dim);
  gguf.f32(a + ".attention.layer_norm_rms_epsilon", static_cast<float>(c.rms_norm_eps));
  gguf.f32(a + ".rope.freq_base", static_cast<float>(c.rope_theta));
  if (!c.moe()) return;
  u32("expert_count", c.num_experts);
  u32("expert_used_count", c.num_experts_per_tok);
  u32("expert_feed_forward_length", c.moe_intermediate_size);
}

// Norms in float32, all else as it is stored; experts stacked.
inline void write_gguf_tensors(GgufWriter& gguf, const TensorSource& model) {
  const auto type_of = [](const SourceTensor& tensor) {
    return tensor.type == WeightType::bf16 ? kBF16 : tensor.type == WeightType::f16 ? kF16 : kF32;
  };
  const HfConfig& c = model.config();
  for (const std::string& name : model.names()) {
    if (name.find(".experts.") != name.npos) continue;
    const SourceTensor& tensor = *model.find(name);
    const std::string bytes = bytes_of(tensor);
    if (tensor.shape.size() == 1) {
      std::string widened(static_cast<size_t>(tensor.shape[0]) * 4, '\0');
      convert_elements(
          widened.data(), DType::f32, bytes.data(), dtype_of(tensor.type), tensor.shape[0]);
      gguf.tensor(gguf_name(name), tensor.shape, kF32, widened);
    } else {
      gguf.tensor(gguf_name(name), tensor.shape, type_of(tensor), bytes);
    }
  }
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    if (!c.is_sparse(layer)) continue;
    for (const auto& [hf, to] :
         {std::pair("gate_proj", "gate"), {"up_proj", "up"}, {"down_proj", "down"}}) {
      std::string bytes;
      const SourceTensor* tensor = nullptr;
      for (int64_t e = 0; e < c.num_experts; ++e) {
        tensor = model.find(fmt::format("model.layers.{}.mlp.experts.{}.{}.weight", layer, e, hf));
        bytes += bytes_of(*tensor);
      }
      gguf.tensor(fmt::format("blk.{}.ffn_{}_exps.weight", layer, to),
                  {c.num_experts, tensor->shape[0], tensor->shape[1]},
                  type_of(*tensor),
                  bytes);
    }
  }
}

// The tokenizer's keys. Ids up to `n_ids` without a token become "[PAD7]".
inline void write_gguf_tokenizer(GgufWriter& gguf,
                                 const std::filesystem::path& tokenizer_json,
                                 int64_t n_ids) {
  const Json json = parse_json(read_text_file(tokenizer_json, 64 << 20), "tokenizer.json");
  std::vector<std::string> tokens(static_cast<size_t>(n_ids)), merges;
  std::vector<int32_t> types(static_cast<size_t>(n_ids), 5);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = fmt::format("[PAD{}]", i);
  for (const auto& [text, id] : json["model"]["vocab"].items()) {
    tokens.at(id.get<size_t>()) = text;
    types.at(id.get<size_t>()) = 1;
  }
  for (const Json& token : json["added_tokens"]) {
    const auto text = token["content"].get<std::string>();
    const bool control =
        token["special"].get<bool>() || (text.starts_with("<|") && text.ends_with("|>"));
    tokens.at(token["id"].get<size_t>()) = text;
    types.at(token["id"].get<size_t>()) = control ? 3 : 4;
  }
  for (const Json& merge : json["model"]["merges"]) {
    merges.push_back(merge.is_string()
                         ? merge.get<std::string>()
                         : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  gguf.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "qwen2");
  gguf.strings("tokenizer.ggml.tokens", tokens);
  gguf.array("tokenizer.ggml.token_type", GgufValue::i32, types);
  gguf.strings("tokenizer.ggml.merges", merges);
  const auto id_of = [&](std::string_view text) {
    return static_cast<uint32_t>(std::find(tokens.begin(), tokens.end(), text) - tokens.begin());
  };
  gguf.u32("tokenizer.ggml.bos_token_id", id_of("<|endoftext|>"));
  gguf.u32("tokenizer.ggml.eos_token_id", id_of("<|im_end|>"));
  gguf.u32("tokenizer.ggml.padding_token_id", id_of("<|endoftext|>"));
  gguf.boolean("tokenizer.ggml.add_bos_token", false);
}

// A whole model: config, sampling defaults, tokenizer, template, tensors.
inline GgufWriter gguf_of(const std::filesystem::path& directory) {
  const Checkpoint model = Checkpoint::open(directory);
  GgufWriter gguf;
  write_gguf_config(gguf, model.config());
  const GenerationConfig& g = model.generation_config();
  if (g.temperature) gguf.f32("general.sampling.temp", static_cast<float>(*g.temperature));
  if (g.top_p) gguf.f32("general.sampling.top_p", static_cast<float>(*g.top_p));
  if (g.top_k) {
    gguf.number("general.sampling.top_k", GgufValue::i32, static_cast<int32_t>(*g.top_k));
  }
  write_gguf_tokenizer(gguf, directory / "tokenizer.json", model.config().vocab_size);
  gguf.string("tokenizer.chat_template",
              read_text_file(directory / "chat_template.jinja", 1 << 20));
  write_gguf_tensors(gguf, model);
  return gguf;
}

}  // namespace qwen3::test
