// A checkpoint of Qwen3's real geometry with random weights, as Qwen3-Embedding and Qwen3-Reranker
// come: tied head, heads that are together wider than the hidden state, and for embeddings tensor
// names without "model." and a tokenizer that puts <|endoftext|> behind every text. The tokenizer
// is nano's, to which the reranker's "yes" is added.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "formats/safetensors.h"

namespace qwen3::server {

enum class CheckpointKind { embedding, reranker };

class RandomCheckpoint {
 public:
  static constexpr int64_t kHidden = 48, kHeads = 4, kKvHeads = 2, kHeadDim = 32, kLayers = 3,
                           kIntermediate = 80, kVocab = 2576, kContext = 1024;
  static constexpr int32_t kEndOfText = 2534, kYes = 2560;

  // Writes into `directory`, which is made.
  RandomCheckpoint(const std::filesystem::path& directory, CheckpointKind kind)
      : directory_(directory), kind_(kind) {
    std::filesystem::create_directories(directory);
    write_config();
    write_tokenizer();
    write_weights();
  }

 private:
  static std::string nano_file(const char* name) {
    return read_text_file(std::filesystem::path(QWEN3_SOURCE_DIR) / "models/nano" / name, 64 << 20);
  }

  void write(const char* name, const std::string& text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }

  void write_config() const {
    write("config.json",
          dump_json({{"architectures", {"Qwen3ForCausalLM"}},
                     {"model_type", "qwen3"},
                     {"vocab_size", kVocab},
                     {"hidden_size", kHidden},
                     {"intermediate_size", kIntermediate},
                     {"num_hidden_layers", kLayers},
                     {"num_attention_heads", kHeads},
                     {"num_key_value_heads", kKvHeads},
                     {"head_dim", kHeadDim},
                     {"hidden_act", "silu"},
                     {"max_position_embeddings", kContext},
                     {"rms_norm_eps", 1e-6},
                     {"rope_theta", 1000000.0},
                     {"tie_word_embeddings", true},
                     {"attention_bias", false},
                     {"torch_dtype", "float32"},
                     {"bos_token_id", kEndOfText},
                     {"eos_token_id", kEndOfText}}));
  }

  void write_tokenizer() const {
    Json tokenizer = Json::parse(nano_file("tokenizer.json"));
    if (kind_ == CheckpointKind::reranker) {
      tokenizer["added_tokens"].push_back({{"id", kYes},
                                           {"content", "yes"},
                                           {"single_word", false},
                                           {"lstrip", false},
                                           {"rstrip", false},
                                           {"normalized", false},
                                           {"special", false}});
    } else {
      const Json text{{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
      const Json end{{"SpecialToken", {{"id", "<|endoftext|>"}, {"type_id", 0}}}};
      tokenizer["post_processor"] = {
          {"type", "TemplateProcessing"},
          {"single", {text, end}},
          {"pair", {text, end}},
          {"special_tokens",
           {{"<|endoftext|>",
             {{"id", "<|endoftext|>"}, {"ids", {kEndOfText}}, {"tokens", {"<|endoftext|>"}}}}}}};
    }
    write("tokenizer.json", dump_json(tokenizer));
    write("tokenizer_config.json", nano_file("tokenizer_config.json"));
    write("chat_template.jinja", nano_file("chat_template.jinja"));
  }

  void write_weights() {
    const std::string prefix = kind_ == CheckpointKind::embedding ? "" : "model.";
    add(prefix + "embed_tokens.weight", {kVocab, kHidden}, 1.0f);
    for (int64_t i = 0; i < kLayers; ++i) {
      const std::string layer = prefix + "layers." + std::to_string(i) + ".";
      add(layer + "input_layernorm.weight", {kHidden}, 1.0f);
      add(layer + "self_attn.q_proj.weight", {kHeads * kHeadDim, kHidden}, 0.2f);
      add(layer + "self_attn.k_proj.weight", {kKvHeads * kHeadDim, kHidden}, 0.2f);
      add(layer + "self_attn.v_proj.weight", {kKvHeads * kHeadDim, kHidden}, 0.2f);
      add(layer + "self_attn.o_proj.weight", {kHidden, kHeads * kHeadDim}, 0.2f);
      add(layer + "self_attn.q_norm.weight", {kHeadDim}, 1.0f);
      add(layer + "self_attn.k_norm.weight", {kHeadDim}, 1.0f);
      add(layer + "post_attention_layernorm.weight", {kHidden}, 1.0f);
      add(layer + "mlp.gate_proj.weight", {kIntermediate, kHidden}, 0.2f);
      add(layer + "mlp.up_proj.weight", {kIntermediate, kHidden}, 0.2f);
      add(layer + "mlp.down_proj.weight", {kHidden, kIntermediate}, 0.2f);
    }
    add(prefix + "norm.weight", {kHidden}, 1.0f);
    std::vector<SafetensorsTensor> tensors;
    for (const Weight& weight : weights_) {
      tensors.push_back(
          {weight.name, DType::f32, weight.shape, std::as_bytes(std::span(weight.values))});
    }
    write_safetensors((directory_ / "model.safetensors").string(), tensors);
  }

  void add(std::string name, std::vector<int64_t> shape, float scale) {
    int64_t n = 1;
    for (const int64_t dim : shape) n *= dim;
    std::normal_distribution<float> draw(0, scale);
    Weight weight{std::move(name), std::move(shape), std::vector<float>(static_cast<size_t>(n))};
    for (float& value : weight.values) value = draw(random_);
    weights_.push_back(std::move(weight));
  }

  struct Weight {
    std::string name;
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  const std::filesystem::path directory_;
  const CheckpointKind kind_;
  std::mt19937 random_{20261124};
  std::vector<Weight> weights_;
};

}  // namespace qwen3::server
