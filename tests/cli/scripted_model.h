// A checkpoint whose answers are known: each token has one successor.
//
// Embeddings are one-hot, the only layer adds nothing (o_proj and down_proj are zero), and the head
// maps each token to its successor. Greedy decoding therefore walks a fixed chain:
//
//   "\n" → <think> → A → B → </think> → h → e → y → " " → 0xC3 → 0xA9 → <|im_end|>
//
// that is, reasoning "AB" and the answer "hey é", whose last character is two tokens. The tokenizer
// has the 256 bytes and six control tokens; the chat template is ChatML with Qwen3's switch.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/utf8.h"
#include "formats/safetensors.h"
#include "support/temp_dir.h"

namespace qwen3::test {

class ScriptedModel {
 public:
  static constexpr int32_t kEndOfText = 256, kImStart = 257, kImEnd = 258, kThink = 259,
                           kEndThink = 260;
  static constexpr int64_t kVocab = 264;  // three padding rows
  static constexpr int64_t kContext = 256;

  ScriptedModel() {
    write_config();
    write_weights();
    write_tokenizer();
  }

  std::string path() const { return dir_.path().string(); }
  const TempDir& dir() const { return dir_; }

  static std::string chat_template() {
    return "{% for message in messages %}"
           "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
           "{% endfor %}"
           "{% if add_generation_prompt %}"
           "{{ '<|im_start|>assistant\\n' }}"
           "{% if enable_thinking is defined and enable_thinking is false %}"
           "{{ '<think></think>' }}"
           "{% endif %}"
           "{% endif %}";
  }

 private:
  void write_config() {
    const Json config = {{"architectures", {"Qwen3ForCausalLM"}},
                         {"model_type", "qwen3"},
                         {"vocab_size", kVocab},
                         {"hidden_size", kVocab},
                         {"intermediate_size", 16},
                         {"num_hidden_layers", 1},
                         {"num_attention_heads", 2},
                         {"num_key_value_heads", 1},
                         {"head_dim", 8},
                         {"hidden_act", "silu"},
                         {"max_position_embeddings", kContext},
                         {"rms_norm_eps", 1e-6},
                         {"rope_theta", 10000.0},
                         {"tie_word_embeddings", false},
                         {"attention_bias", false},
                         {"torch_dtype", "float32"},
                         {"eos_token_id", kImEnd}};
    dir_.write("config.json", dump_json(config));
    dir_.write("generation_config.json", R"({"do_sample": false, "eos_token_id": [258, 256]})");
  }

  void write_weights() {
    std::vector<float> embed(kVocab * kVocab);
    std::vector<float> head(kVocab * kVocab);
    for (int64_t i = 0; i < kVocab; ++i) embed[static_cast<size_t>(i * kVocab + i)] = 1;
    constexpr std::array<int32_t, 12> kChain = {
        '\n', kThink, 'A', 'B', kEndThink, 'h', 'e', 'y', ' ', 0xC3, 0xA9, kImEnd};
    for (size_t i = 0; i + 1 < kChain.size(); ++i) {
      head[static_cast<size_t>(kChain[i + 1]) * kVocab + static_cast<size_t>(kChain[i])] = 1;
    }
    const std::vector<float> zeros(kVocab * kVocab);
    const std::vector<float> ones(kVocab, 1.0f);
    std::vector<SafetensorsTensor> tensors;
    const auto add =
        [&](std::string name, std::vector<int64_t> shape, const std::vector<float>& values) {
          int64_t n = 1;
          for (const int64_t dim : shape) n *= dim;
          const auto bytes = std::as_bytes(std::span(values).first(static_cast<size_t>(n)));
          tensors.push_back({std::move(name), DType::f32, std::move(shape), bytes});
        };
    const std::string layer = "model.layers.0.";
    add("model.embed_tokens.weight", {kVocab, kVocab}, embed);
    add(layer + "input_layernorm.weight", {kVocab}, ones);
    add(layer + "self_attn.q_proj.weight", {16, kVocab}, zeros);
    add(layer + "self_attn.k_proj.weight", {8, kVocab}, zeros);
    add(layer + "self_attn.v_proj.weight", {8, kVocab}, zeros);
    add(layer + "self_attn.o_proj.weight", {kVocab, 16}, zeros);
    add(layer + "self_attn.q_norm.weight", {8}, ones);
    add(layer + "self_attn.k_norm.weight", {8}, ones);
    add(layer + "post_attention_layernorm.weight", {kVocab}, ones);
    add(layer + "mlp.gate_proj.weight", {16, kVocab}, zeros);
    add(layer + "mlp.up_proj.weight", {16, kVocab}, zeros);
    add(layer + "mlp.down_proj.weight", {kVocab, 16}, zeros);
    add("model.norm.weight", {kVocab}, ones);
    add("lm_head.weight", {kVocab, kVocab}, head);
    write_safetensors((dir_.path() / "model.safetensors").string(), tensors);
  }

  // The characters that byte-level BPE spells bytes with (GPT-2's table).
  static std::string byte_character(int byte) {
    static const std::vector<char32_t> table = [] {
      std::vector<char32_t> characters(256);
      char32_t next = 256;
      for (int b = 0; b < 256; ++b) {
        const bool printable =
            (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
        characters[static_cast<size_t>(b)] = printable ? static_cast<char32_t>(b) : next++;
      }
      return characters;
    }();
    std::string text;
    utf8_append(text, table[static_cast<size_t>(byte)]);
    return text;
  }

  void write_tokenizer() {
    Json vocab = Json::object();
    for (int byte = 0; byte < 256; ++byte) vocab[byte_character(byte)] = byte;
    Json added = Json::array();
    const auto add = [&](int32_t id, const char* content, bool special) {
      added.push_back({{"id", id},
                       {"content", content},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", special}});
    };
    add(kEndOfText, "<|endoftext|>", true);
    add(kImStart, "<|im_start|>", true);
    add(kImEnd, "<|im_end|>", true);
    add(kThink, "<think>", false);
    add(kEndThink, "</think>", false);
    const Json byte_level = {{"type", "ByteLevel"},
                             {"add_prefix_space", false},
                             {"trim_offsets", false},
                             {"use_regex", true}};
    const Json tokenizer = {{"version", "1.0"},
                            {"truncation", nullptr},
                            {"padding", nullptr},
                            {"added_tokens", added},
                            {"normalizer", {{"type", "NFC"}}},
                            {"pre_tokenizer", byte_level},
                            {"post_processor", nullptr},
                            {"decoder", byte_level},
                            {"model",
                             {{"type", "BPE"},
                              {"dropout", nullptr},
                              {"unk_token", nullptr},
                              {"continuing_subword_prefix", ""},
                              {"end_of_word_suffix", ""},
                              {"fuse_unk", false},
                              {"byte_fallback", false},
                              {"vocab", vocab},
                              {"merges", Json::array()}}}};
    dir_.write("tokenizer.json", dump_json(tokenizer));
    const Json config = {
        {"eos_token", "<|im_end|>"}, {"bos_token", nullptr}, {"chat_template", chat_template()}};
    dir_.write("tokenizer_config.json", dump_json(config));
  }

  TempDir dir_;
};

}  // namespace qwen3::test
