// Checkpoints on disk whose every element is known by the tensor's name: dense and MoE, of two
// layers, with odd sizes; and Checker, which looks at every one of them.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "kernels/reference/reference_backend.h"
#include "model/panel_backend.h"
#include "model/weights.h"
#include "support/temp_dir.h"
#include "tensor/convert.h"

namespace qwen3::test {

// Element i of the tensor of that name: a multiple of 1/64 below 2 in magnitude, so that bf16, f16
// and f32 all hold it exactly.
inline float value_at(const std::string& name, int64_t i) {
  uint32_t hash = 2166136261;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  return static_cast<float>(
             static_cast<int>((hash + static_cast<uint32_t>(i) * 2654435761u) >> 8 & 0xFF) - 128) /
         64;
}

struct FileTensor {
  std::vector<int64_t> shape;
  DType dtype;
  std::vector<float> values;
};
using Tensors = std::map<std::string, FileTensor>;  // by Hugging Face name

inline constexpr int64_t kHidden = 24, kInner = 40, kHeads = 4, kKvHeads = 2, kHeadDim = 10,
                         kVocab = 37;
inline constexpr int64_t kExperts = 5, kExpertInner = 18;

struct StoredModel {
  bool moe = false, tied = false, bias = false;
  int64_t vocab = kVocab;
  DType dtype = DType::bf16;

  // Two layers; in a MoE model the first is dense.
  std::string config() const {
    std::string text = fmt::format(
        R"({{"model_type":"{}","vocab_size":{},"hidden_size":{},"intermediate_size":{},"num_hidden_layers":2,
        "num_attention_heads":{},"num_key_value_heads":{},"head_dim":{},"max_position_embeddings":64,
        "rope_theta":10000,"tie_word_embeddings":{},"attention_bias":{})",
        moe ? "qwen3_moe" : "qwen3",
        vocab,
        kHidden,
        kInner,
        kHeads,
        kKvHeads,
        kHeadDim,
        tied,
        bias);
    if (moe) {
      text += fmt::format(
          R"(,"num_experts":{},"num_experts_per_tok":2,"moe_intermediate_size":{},"decoder_sparse_step":2)",
          kExperts,
          kExpertInner);
    }
    return text + "}";
  }

  Tensors tensors() const {
    Tensors all;
    const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
      int64_t numel = 1;
      for (const int64_t dim : shape) numel *= dim;
      std::vector<float> values(static_cast<size_t>(numel));
      for (int64_t i = 0; i < numel; ++i) values[static_cast<size_t>(i)] = value_at(name, i);
      all[name] = {std::move(shape), dtype, std::move(values)};
    };
    add("model.embed_tokens.weight", {vocab, kHidden});
    add("model.norm.weight", {kHidden});
    if (!tied) add("lm_head.weight", {vocab, kHidden});
    for (int layer = 0; layer < 2; ++layer) {
      const std::string p = fmt::format("model.layers.{}.", layer);
      add(p + "input_layernorm.weight", {kHidden});
      add(p + "post_attention_layernorm.weight", {kHidden});
      const std::map<std::string, std::pair<int64_t, int64_t>> projections = {
          {"q", {kHeads * kHeadDim, kHidden}},
          {"k", {kKvHeads * kHeadDim, kHidden}},
          {"v", {kKvHeads * kHeadDim, kHidden}},
          {"o", {kHidden, kHeads * kHeadDim}}};
      for (const auto& [name, shape] : projections) {
        add(p + "self_attn." + name + "_proj.weight", {shape.first, shape.second});
        if (bias) add(p + "self_attn." + name + "_proj.bias", {shape.first});
      }
      add(p + "self_attn.q_norm.weight", {kHeadDim});
      add(p + "self_attn.k_norm.weight", {kHeadDim});
      const auto mlp = [&](const std::string& name, int64_t inner) {
        add(name + "gate_proj.weight", {inner, kHidden});
        add(name + "up_proj.weight", {inner, kHidden});
        add(name + "down_proj.weight", {kHidden, inner});
      };
      if (!moe || layer == 0) {
        mlp(p + "mlp.", kInner);
        continue;
      }
      add(p + "mlp.gate.weight", {kExperts, kHidden});
      for (int64_t e = 0; e < kExperts; ++e)
        mlp(fmt::format("{}mlp.experts.{}.", p, e), kExpertInner);
    }
    return all;
  }
};

inline std::vector<std::byte> to_bytes(const FileTensor& t) {
  std::vector<std::byte> bytes(t.values.size() * static_cast<size_t>(dtype_size(t.dtype)));
  convert_elements(
      bytes.data(), t.dtype, t.values.data(), DType::f32, static_cast<int64_t>(t.values.size()));
  return bytes;
}

inline void write_tensors(const std::filesystem::path& path, const Tensors& tensors) {
  std::vector<std::vector<std::byte>> bytes;
  bytes.reserve(tensors.size());
  std::vector<SafetensorsTensor> list;
  for (const auto& [name, t] : tensors) {
    bytes.push_back(to_bytes(t));
    list.push_back({name, t.dtype, t.shape, bytes.back()});
  }
  write_safetensors(path.string(), list);
}

// As transformers 5 keeps experts in memory: [E, 2*MI, H] with gate above up, and [E, H, MI].
inline Tensors fuse_experts(Tensors tensors, const std::string& suffix) {
  const std::string p = "model.layers.1.mlp.experts.";
  FileTensor gate_up{{kExperts, 2 * kExpertInner, kHidden}, DType::bf16, {}},
      down{{kExperts, kHidden, kExpertInner}, DType::bf16, {}};
  for (int64_t e = 0; e < kExperts; ++e) {
    for (const char* projection : {"gate_proj", "up_proj", "down_proj"}) {
      auto node = tensors.extract(fmt::format("{}{}.{}.weight", p, e, projection));
      FileTensor& to = std::string(projection) == "down_proj" ? down : gate_up;
      to.dtype = node.mapped().dtype;
      to.values.insert(to.values.end(), node.mapped().values.begin(), node.mapped().values.end());
    }
  }
  tensors[p + "gate_up_proj" + suffix] = gate_up;
  tensors[p + "down_proj" + suffix] = down;
  return tensors;
}

class WeightsTest : public ::testing::Test {
 protected:
  void write(const StoredModel& model, const Tensors& tensors) {
    dir_.write("config.json", model.config());
    write_tensors(dir_.path() / "model.safetensors", tensors);
  }
  Weights load(const Backend& backend,
               WeightsDType dtype = WeightsDType::as_stored,
               int n_threads = 1) {
    return load_weights(Checkpoint::open(dir_.path()), backend, dtype, n_threads, {});
  }
  Weights load() { return load(*reference_); }

  TempDir dir_;
  const std::unique_ptr<Backend> reference_ = make_reference_backend();
  const PanelBackend panel_{};
};

// Every tensor of `weights` holds value_at of its name.
class Checker {
 public:
  Checker(const Backend& backend, WeightType type) : backend_(backend), type_(type) {}

  void all(const Weights& w, const StoredModel& model) {
    matrix(w.embed_tokens, "model.embed_tokens.weight", model.vocab, kHidden);
    vector(w.norm, "model.norm.weight", kHidden);
    if (model.tied) {
      EXPECT_EQ(w.lm_head.weight.data(), w.embed_tokens.data());
    } else {
      matrix(w.lm_head.weight, "lm_head.weight", model.vocab, kHidden);
    }
    ASSERT_EQ(w.layers.size(), 2u);
    for (size_t i = 0; i < 2; ++i) layer(w.layers[i], fmt::format("model.layers.{}.", i), model);
    EXPECT_EQ(std::holds_alternative<MoeWeights>(w.layers[1].mlp), model.moe);
  }

 private:
  void layer(const LayerWeights& w, const std::string& p, const StoredModel& model) {
    vector(w.input_layernorm, p + "input_layernorm.weight", kHidden);
    vector(w.post_attention_layernorm, p + "post_attention_layernorm.weight", kHidden);
    const AttentionWeights& a = w.self_attn;
    matrix(a.q_proj.weight, p + "self_attn.q_proj.weight", kHeads * kHeadDim, kHidden);
    matrix(a.k_proj.weight, p + "self_attn.k_proj.weight", kKvHeads * kHeadDim, kHidden);
    matrix(a.v_proj.weight, p + "self_attn.v_proj.weight", kKvHeads * kHeadDim, kHidden);
    matrix(a.o_proj.weight, p + "self_attn.o_proj.weight", kHidden, kHeads * kHeadDim);
    vector(a.q_norm, p + "self_attn.q_norm.weight", kHeadDim);
    vector(a.k_norm, p + "self_attn.k_norm.weight", kHeadDim);
    if (model.bias) {
      vector(a.q_proj.bias, p + "self_attn.q_proj.bias", kHeads * kHeadDim);
      vector(a.k_proj.bias, p + "self_attn.k_proj.bias", kKvHeads * kHeadDim);
      vector(a.v_proj.bias, p + "self_attn.v_proj.bias", kKvHeads * kHeadDim);
      vector(a.o_proj.bias, p + "self_attn.o_proj.bias", kHidden);
    } else {
      EXPECT_FALSE(a.q_proj.bias || a.k_proj.bias || a.v_proj.bias || a.o_proj.bias);
    }
    if (const auto* mlp = std::get_if<MlpWeights>(&w.mlp)) {
      matrix(mlp->gate_proj.weight, p + "mlp.gate_proj.weight", kInner, kHidden);
      matrix(mlp->up_proj.weight, p + "mlp.up_proj.weight", kInner, kHidden);
      matrix(mlp->down_proj.weight, p + "mlp.down_proj.weight", kHidden, kInner);
      return;
    }
    const auto& moe = std::get<MoeWeights>(w.mlp);
    matrix(moe.router.weight, p + "mlp.gate.weight", kExperts, kHidden);
    EXPECT_EQ(moe.experts.gate_proj.shape(), (Shape{kExperts, kExpertInner, kHidden}));
    EXPECT_EQ(moe.experts.down_proj.shape(), (Shape{kExperts, kHidden, kExpertInner}));
    for (int64_t e = 0; e < kExperts; ++e) {
      const std::string expert = fmt::format("{}mlp.experts.{}.", p, e);
      values(moe.experts.gate_proj, e, expert + "gate_proj.weight", kExpertInner, kHidden);
      values(moe.experts.up_proj, e, expert + "up_proj.weight", kExpertInner, kHidden);
      values(moe.experts.down_proj, e, expert + "down_proj.weight", kHidden, kExpertInner);
    }
  }

  void vector(const Tensor& t, const std::string& name, int64_t size) {
    ASSERT_EQ(t.dtype(), DType::f32) << name;
    ASSERT_EQ(t.shape(), Shape{size}) << name;
    HostBuffer buffer;
    const Tensor host = backend_.to_host(t, buffer);
    for (int64_t i = 0; i < size; ++i) {
      ASSERT_EQ(host.f32()[i], value_at(name, i)) << name << " " << i;
    }
  }
  void matrix(const Weight& t, const std::string& name, int64_t out, int64_t in) {
    ASSERT_EQ(t.shape(), (Shape{out, in})) << name;
    values(t, 0, name, out, in);
  }
  void values(const Weight& t, int64_t index, const std::string& name, int64_t out, int64_t in) {
    ASSERT_EQ(t.type(), type_) << name;
    ASSERT_EQ(t.format().layout, backend_.weight_format(type_, out, in).layout) << name;
    std::vector<float> got(static_cast<size_t>(out * in));
    backend_.unpack_rows(Tensor::view(got, {out, in}), t, index, 0);
    for (int64_t i = 0; i < out * in; ++i) {
      ASSERT_EQ(got[static_cast<size_t>(i)], value_at(name, i)) << name << " " << i;
    }
  }

  const Backend& backend_;
  WeightType type_;
};

}  // namespace qwen3::test
