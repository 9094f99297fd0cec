// Loading is checked against the values written, for every tensor, through a backend that keeps
// rows as they are and one that packs panels.
#include "model/weights.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "formats/official_configs.h"
#include "formats/safetensors.h"
#include "kernels/reference/reference_backend.h"
#include "model/panel_backend.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tensor/convert.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;
constexpr auto kCorrupt = ErrorKind::corrupt_file;
constexpr auto kNotFound = ErrorKind::not_found;

// Element i of the tensor of that name: a multiple of 1/64 below 2 in magnitude, so that bf16, f16
// and f32 all hold it exactly.
float value_at(const std::string& name, int64_t i) {
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

constexpr int64_t kHidden = 24, kInner = 40, kHeads = 4, kKvHeads = 2, kHeadDim = 10, kVocab = 37;
constexpr int64_t kExperts = 5, kExpertInner = 18;

struct Model {
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

std::vector<std::byte> to_bytes(const FileTensor& t) {
  std::vector<std::byte> bytes(t.values.size() * static_cast<size_t>(dtype_size(t.dtype)));
  convert_elements(
      bytes.data(), t.dtype, t.values.data(), DType::f32, static_cast<int64_t>(t.values.size()));
  return bytes;
}

void write_file(const fs::path& path, const Tensors& tensors) {
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
Tensors fuse_experts(Tensors tensors, const std::string& suffix) {
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

class WeightsTest : public testing::Test {
 protected:
  void write(const Model& model, const Tensors& tensors) {
    dir_.write("config.json", model.config());
    write_file(dir_.path() / "model.safetensors", tensors);
  }
  Weights load(const Backend& backend,
               WeightsDType dtype = WeightsDType::as_stored,
               int n_threads = 1) {
    return load_weights(Checkpoint::open(dir_.path()), backend, dtype, n_threads, {});
  }
  Weights load() { return load(*reference_); }

  test::TempDir dir_;
  const std::unique_ptr<Backend> reference_ = make_reference_backend();
  const PanelBackend panel_{};
};

// Every tensor of `weights` holds value_at of its name.
class Checker {
 public:
  Checker(const Backend& backend, DType dtype) : backend_(backend), dtype_(dtype) {}

  void all(const Weights& w, const Model& model) {
    matrix(w.embed_tokens, "model.embed_tokens.weight", model.vocab, kHidden);
    vector(w.norm, "model.norm.weight", kHidden);
    if (model.tied) {
      EXPECT_EQ(w.lm_head.data(), w.embed_tokens.data());
    } else {
      matrix(w.lm_head, "lm_head.weight", model.vocab, kHidden);
    }
    ASSERT_EQ(w.layers.size(), 2u);
    for (size_t i = 0; i < 2; ++i) layer(w.layers[i], fmt::format("model.layers.{}.", i), model);
    EXPECT_EQ(std::holds_alternative<MoeWeights>(w.layers[1].mlp), model.moe);
  }

 private:
  void layer(const LayerWeights& w, const std::string& p, const Model& model) {
    vector(w.input_layernorm, p + "input_layernorm.weight", kHidden);
    vector(w.post_attention_layernorm, p + "post_attention_layernorm.weight", kHidden);
    const AttentionWeights& a = w.self_attn;
    matrix(a.q_proj, p + "self_attn.q_proj.weight", kHeads * kHeadDim, kHidden);
    matrix(a.k_proj, p + "self_attn.k_proj.weight", kKvHeads * kHeadDim, kHidden);
    matrix(a.v_proj, p + "self_attn.v_proj.weight", kKvHeads * kHeadDim, kHidden);
    matrix(a.o_proj, p + "self_attn.o_proj.weight", kHidden, kHeads * kHeadDim);
    vector(a.q_norm, p + "self_attn.q_norm.weight", kHeadDim);
    vector(a.k_norm, p + "self_attn.k_norm.weight", kHeadDim);
    if (model.bias) {
      vector(a.q_bias, p + "self_attn.q_proj.bias", kHeads * kHeadDim);
      vector(a.k_bias, p + "self_attn.k_proj.bias", kKvHeads * kHeadDim);
      vector(a.v_bias, p + "self_attn.v_proj.bias", kKvHeads * kHeadDim);
      vector(a.o_bias, p + "self_attn.o_proj.bias", kHidden);
    } else {
      EXPECT_FALSE(a.q_bias || a.k_bias || a.v_bias || a.o_bias);
    }
    if (const auto* mlp = std::get_if<MlpWeights>(&w.mlp)) {
      matrix(mlp->gate_proj, p + "mlp.gate_proj.weight", kInner, kHidden);
      matrix(mlp->up_proj, p + "mlp.up_proj.weight", kInner, kHidden);
      matrix(mlp->down_proj, p + "mlp.down_proj.weight", kHidden, kInner);
      return;
    }
    const auto& moe = std::get<MoeWeights>(w.mlp);
    matrix(moe.router, p + "mlp.gate.weight", kExperts, kHidden);
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
    for (int64_t i = 0; i < size; ++i) ASSERT_EQ(t.f32()[i], value_at(name, i)) << name << " " << i;
  }
  void matrix(const Tensor& t, const std::string& name, int64_t out, int64_t in) {
    ASSERT_EQ(t.shape(), (Shape{out, in})) << name;
    values(t, 0, name, out, in);
  }
  void values(const Tensor& t, int64_t index, const std::string& name, int64_t out, int64_t in) {
    ASSERT_EQ(t.dtype(), dtype_) << name;
    ASSERT_EQ(t.layout(), backend_.weight_layout(dtype_)) << name;
    std::vector<float> got(static_cast<size_t>(out * in));
    backend_.unpack_rows(Tensor::view(got, {out, in}), t, index, 0);
    for (int64_t i = 0; i < out * in; ++i) {
      ASSERT_EQ(got[static_cast<size_t>(i)], value_at(name, i)) << name << " " << i;
    }
  }

  const Backend& backend_;
  DType dtype_;
};

TEST_F(WeightsTest, EveryTensorInEveryTypeLayoutAndNumberOfThreads) {
  for (const bool moe : {false, true}) {
    for (const DType stored : {DType::bf16, DType::f16, DType::f32}) {
      const Model model{.moe = moe, .tied = moe, .bias = !moe, .dtype = stored};
      write(model, model.tensors());
      for (const Backend* backend :
           {static_cast<const Backend*>(reference_.get()), static_cast<const Backend*>(&panel_)}) {
        for (const int n_threads : {1, 3}) {
          Checker(*backend, stored).all(load(*backend, WeightsDType::as_stored, n_threads), model);
          Checker(*backend, DType::f32).all(load(*backend, WeightsDType::f32, n_threads), model);
          Checker(*backend, DType::bf16).all(load(*backend, WeightsDType::bf16, n_threads), model);
        }
      }
    }
  }
}

// Matrices of several jobs each.
TEST_F(WeightsTest, LargeMatricesAreLoadedInParts) {
  const Model model{.vocab = 20'011, .dtype = DType::f32};
  write(model, model.tensors());
  Checker(panel_, DType::f32).all(load(panel_, WeightsDType::as_stored, 2), model);
  Checker(panel_, DType::bf16).all(load(panel_, WeightsDType::bf16, 2), model);
}

TEST_F(WeightsTest, FusedExpertsAreTheSame) {
  const Model model{.moe = true};
  for (const std::string suffix : {"", ".weight"}) {
    write(model, fuse_experts(model.tensors(), suffix));
    Checker(*reference_, DType::bf16).all(load(), model);
    Checker(panel_, DType::f32).all(load(panel_, WeightsDType::f32, 2), model);
  }
}

TEST_F(WeightsTest, NamesWithoutThePrefix) {
  const Model model{.moe = true, .tied = true};
  Tensors stripped;
  for (auto& [name, tensor] : model.tensors())
    stripped[name.substr(name.starts_with("model.") ? 6 : 0)] = tensor;
  write(model, stripped);
  Checker(*reference_, DType::bf16).all(load(), model);
}

TEST_F(WeightsTest, ATiedModelIgnoresAStoredHead) {
  const Model model{.tied = true};
  Tensors tensors = model.tensors();
  tensors["lm_head.weight"] = {{3}, DType::bf16, {1, 2, 3}};
  write(model, tensors);
  Checker(*reference_, DType::bf16).all(load(), model);
}

TEST_F(WeightsTest, AnEmbeddingModelHasNoHead) {
  const Model model;
  Tensors tensors = model.tensors();
  tensors.erase("lm_head.weight");
  write(model, tensors);
  const Weights weights = load();
  EXPECT_FALSE(weights.lm_head);
  EXPECT_TRUE(weights.embed_tokens);
}

TEST_F(WeightsTest, Shards) {
  const Model model{.moe = true};
  dir_.write("config.json", model.config());
  Tensors first = model.tensors(), second;
  std::string map;
  for (int i = 0; i < 20; ++i) second.insert(first.extract(first.begin()));
  for (const auto& [name, t] : first) map += ",\"" + name + "\":\"one.safetensors\"";
  for (const auto& [name, t] : second) map += ",\"" + name + "\":\"two.safetensors\"";
  write_file(dir_.path() / "one.safetensors", first);
  write_file(dir_.path() / "two.safetensors", second);
  dir_.write("model.safetensors.index.json", "{\"weight_map\":{" + map.substr(1) + "}}");
  Checker(panel_, DType::bf16).all(load(panel_, WeightsDType::as_stored, 3), model);
}

// Old files may have tensors at odd offsets: one byte in front moves all the others.
TEST_F(WeightsTest, DataNeedNotBeAligned) {
  const Model model;
  dir_.write("config.json", model.config());
  std::string header = R"({"mtp.pad":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})", data = "x";
  for (const auto& [name, t] : model.tensors()) {
    const auto bytes = to_bytes(t);
    header += fmt::format(R"(,"{}":{{"dtype":"BF16","shape":[{}],"data_offsets":[{},{}]}})",
                          name,
                          fmt::join(t.shape, ","),
                          data.size(),
                          data.size() + bytes.size());
    data.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  header += "}";
  if (header.size() % 2 != 0) header += ' ';
  std::string prefix(8, '\0');
  for (size_t i = 0; i < 8; ++i) prefix[i] = static_cast<char>(header.size() >> 8 * i & 0xFF);
  dir_.write("model.safetensors", prefix + header + data);
  ASSERT_EQ(reinterpret_cast<uintptr_t>(
                Checkpoint::open(dir_.path()).find("model.norm.weight")->bytes.data()) %
                2,
            1u);
  Checker(panel_, DType::bf16).all(load(panel_), model);
}

TEST_F(WeightsTest, ConversionRoundsToNearestEven) {
  const Model model{.dtype = DType::f32};
  Tensors tensors = model.tensors();
  FileTensor& q = tensors["model.layers.0.self_attn.q_proj.weight"];
  const std::vector<std::pair<float, float>> cases = {{1 + 0x1p-8f, 1},
                                                      {1 + 3 * 0x1p-8f, 1 + 0x1p-6f},
                                                      {1 + 0x1p-8f + 0x1p-20f, 1 + 0x1p-7f},
                                                      {-0.0f, -0.0f}};
  for (size_t i = 0; i < cases.size(); ++i) q.values[i] = cases[i].first;
  write(model, tensors);
  const Weights exact = load(), rounded = load(*reference_, WeightsDType::bf16);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(exact.layers[0].self_attn.q_proj.f32()[i], cases[i].first);
    EXPECT_EQ(bf16_to_f32(rounded.layers[0].self_attn.q_proj.u16()[i]), cases[i].second);
  }
}

TEST_F(WeightsTest, EachTensorKeepsItsOwnType) {
  const Model model{.moe = true};
  Tensors tensors = model.tensors();
  tensors["lm_head.weight"].dtype = DType::f32;
  tensors["model.norm.weight"].dtype = DType::f16;
  tensors["model.layers.1.mlp.experts.2.up_proj.weight"].dtype = DType::f16;
  write(model, tensors);
  const Weights weights = load();
  EXPECT_EQ(weights.embed_tokens.dtype(), DType::bf16);
  EXPECT_EQ(weights.lm_head.dtype(), DType::f32);
  EXPECT_EQ(weights.norm.dtype(), DType::f32);
  const auto& moe = std::get<MoeWeights>(weights.layers[1].mlp);
  EXPECT_EQ(moe.router.dtype(), DType::bf16);
  EXPECT_EQ(moe.experts.gate_proj.dtype(), DType::bf16);
  EXPECT_EQ(moe.experts.up_proj.dtype(), DType::f32);  // mixed: float32 holds all exactly
  EXPECT_EQ(*moe.experts.up_proj.matrix(2).f32(),
            value_at("model.layers.1.mlp.experts.2.up_proj.weight", 0));
}

// ---- refusals --------------------------------------------------------------------------------

TEST_F(WeightsTest, EveryMissingTensorIsNamed) {
  const Model model{.moe = true, .bias = true};
  const Tensors tensors = model.tensors();
  for (const auto& [name, tensor] : tensors) {
    if (name == "lm_head.weight") continue;
    Tensors rest = tensors;
    rest.erase(name);
    write(model, rest);
    EXPECT_ERROR(load(),
                 kNotFound,
                 dir_.path().string() + ": tensor " + name + ": expected shape [",
                 "got no such tensor");
  }
}

// A config.json that describes less than the files hold belongs to another model.
TEST_F(WeightsTest, TensorsWithoutAPlaceAreNamed) {
  const Model model{.moe = true, .bias = true};
  const auto refused =
      [&](const std::string& from, const std::string& to, const char* name, const char* why) {
        write(model, model.tensors());
        std::string config = model.config();
        config.replace(config.find(from), from.size(), to);
        dir_.write("config.json", config);
        EXPECT_ERROR(
            load(), kCorrupt, std::string("model.safetensors: tensor ") + name + ": " + why);
      };
  refused("\"num_hidden_layers\":2",
          "\"num_hidden_layers\":1",
          "model.layers.1.input_layernorm.weight",
          "expected no layers beyond num_hidden_layers 1, got 2 layers");
  refused("\"attention_bias\":true",
          "\"attention_bias\":false",
          "model.layers.0.self_attn.k_proj.bias",
          "expected no biases, as attention_bias is false");
}

TEST_F(WeightsTest, WhatPublishedCheckpointsStoreBesideTheModelIsPassedOver) {
  const Model model{.tied = true};
  Tensors tensors = model.tensors();
  for (const char* name : {"lm_head.weight",
                           "model.layers.0.self_attn.rotary_emb.inv_freq",
                           "model.rotary_emb.inv_freq",
                           "mtp.layers.0.mlp.up_proj.weight",
                           "model.mtp.norm.weight"}) {
    tensors[name] = {{3}, DType::f32, {1, 2, 3}};
  }
  write(model, tensors);
  Checker(*reference_, DType::bf16).all(load(), model);
  tensors["model.vision.weight"] = {{3}, DType::f32, {1, 2, 3}};
  write(model, tensors);
  EXPECT_ERROR(load(), kCorrupt, "tensor model.vision.weight", "has no use for");
}

TEST_F(WeightsTest, EveryWrongShapeIsNamed) {
  const Model model{.moe = true, .bias = true};
  const Tensors tensors = model.tensors();
  for (const auto& [name, tensor] : tensors) {
    Tensors wrong = tensors;
    FileTensor& t = wrong[name];
    std::reverse(t.shape.begin(), t.shape.end());
    if (t.shape == tensor.shape) t.shape.push_back(1);
    write(model, wrong);
    EXPECT_ERROR(load(),
                 kCorrupt,
                 "model.safetensors: tensor " + name + ": expected shape [" +
                     fmt::format("{}", fmt::join(tensor.shape, ", ")) + "], got [" +
                     fmt::format("{}", fmt::join(t.shape, ", ")) + "]");
  }
}

TEST_F(WeightsTest, FusedExpertsOfTheWrongShape) {
  const Model model{.moe = true};
  Tensors tensors = fuse_experts(model.tensors(), "");
  FileTensor& fused = tensors["model.layers.1.mlp.experts.gate_up_proj"];
  std::swap(fused.shape[1], fused.shape[2]);
  write(model, tensors);
  EXPECT_ERROR(
      load(), kCorrupt, "experts.gate_up_proj: expected shape [5, 36, 24], got [5, 24, 36]");
}

TEST_F(WeightsTest, ThreadsAreChecked) {
  const Model model;
  write(model, model.tensors());
  EXPECT_ERROR(load(*reference_, WeightsDType::as_stored, 0),
               ErrorKind::invalid_argument,
               "threads",
               "got 0");
}

// T-S4: no SIGBUS, whatever is cut off, and whenever.
TEST_F(WeightsTest, AFileThatShrinksIsAnError) {
  const Model model{.vocab = 20'011};
  for (const int n_threads : {1, 3}) {
    for (const int keep : {0, 1, 2}) {
      write(model, model.tensors());
      const fs::path file = dir_.path() / "model.safetensors";
      const Checkpoint checkpoint = Checkpoint::open(dir_.path());
      fs::resize_file(file, fs::file_size(file) * static_cast<uintmax_t>(keep) / 3);
      EXPECT_ERROR(load_weights(checkpoint, *reference_, WeightsDType::as_stored, n_threads, {}),
                   kCorrupt,
                   "model.safetensors: ends before byte",
                   "shrink");
    }
    write(model, model.tensors());
    const Checkpoint checkpoint = Checkpoint::open(dir_.path());
    const auto cut = [&](std::string_view, int64_t, int64_t) {
      fs::resize_file(dir_.path() / "model.safetensors", 5000);
    };
    EXPECT_ERROR(load_weights(checkpoint, *reference_, WeightsDType::as_stored, n_threads, cut),
                 kCorrupt,
                 "ends before byte");
  }
}

TEST_F(WeightsTest, WhatCannotFitIsRefusedWithTheArithmetic) {
  HfConfig config = parse_hf_config(Model{}.config(), "c");
  config.vocab_size = 1 << 24;
  config.hidden_size = 1 << 20;
  // Embedding and head of 2^44 elements each, 2 bytes: 70.4 TB.
  EXPECT_ERROR(random_weights(config, *reference_, DType::bf16, 1, 1),
               ErrorKind::out_of_memory,
               "random weights: needs 703",
               "GB for weights",
               "GB available; a smaller model or a machine with");
  EXPECT_ERROR(random_weights(config, *reference_, DType::f32, 1, 1),
               ErrorKind::out_of_memory,
               "a smaller model, dtype bfloat16 or a machine with");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(WeightsTest, TheLimitOnAddressSpaceCounts) {
  const Model model{.vocab = 2'000'000, .dtype = DType::bf16};
  const HfConfig config = parse_hf_config(model.config(), "c");
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &old), 0);
  const rlimit small{rlim_t{300} << 20, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &small), 0);
  EXPECT_ERROR(random_weights(config, *reference_, DType::f32, 1, 1),
               ErrorKind::out_of_memory,
               "needs 384.0 MB for weights",
               "available");
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &old), 0);
}
#endif

// ---- progress --------------------------------------------------------------------------------

TEST_F(WeightsTest, ProgressCountsBytesOnTheCallingThread) {
  const Model model{.vocab = 20'011};
  write(model, model.tensors());
  const Checkpoint checkpoint = Checkpoint::open(dir_.path());
  int64_t last = -1, total = 0;
  const auto caller = std::this_thread::get_id();
  load_weights(checkpoint,
               *reference_,
               WeightsDType::as_stored,
               3,
               [&](std::string_view what, int64_t done, int64_t all) {
                 EXPECT_EQ(what, "loading weights");
                 EXPECT_EQ(std::this_thread::get_id(), caller);
                 EXPECT_GE(done, last);
                 last = done;
                 total = all;
               });
  EXPECT_EQ(last, total);
  EXPECT_EQ(total, checkpoint.n_bytes());
}

TEST_F(WeightsTest, AnExceptionOfTheListenerStopsTheLoad) {
  const Model model{.vocab = 20'011};
  write(model, model.tensors());
  const Checkpoint checkpoint = Checkpoint::open(dir_.path());
  const auto stop = [](std::string_view, int64_t done, int64_t) {
    if (done > 0) throw std::runtime_error("cancelled");
  };
  EXPECT_THROW(load_weights(checkpoint, *reference_, WeightsDType::as_stored, 3, stop),
               std::runtime_error);
}

// ---- counting --------------------------------------------------------------------------------

TEST(WeightsCount, OfficialModels) {
  for (const OfficialModel& m : official_models()) {
    if (m.n_parameters == 0) continue;
    const HfConfig config = parse_hf_config(official_config(m, Spelling::transformers_4), m.name);
    EXPECT_EQ(n_parameters(config), m.n_parameters) << m.name;
  }
}

TEST(WeightsCount, ActiveParameters) {
  const auto active = [](const char* name) {
    for (const OfficialModel& m : official_models()) {
      if (std::string(name) == m.name)
        return n_active_parameters(
            parse_hf_config(official_config(m, Spelling::transformers_4), name));
    }
    return int64_t{0};
  };
  EXPECT_EQ(active("Qwen3-0.6B"), 596'049'920);  // tied: the table is the head
  EXPECT_EQ(active("Qwen3-8B"), 8'190'735'360 - int64_t{151936} * 4096);
  // 120 of 128 experts rest, in each of 48 layers.
  EXPECT_EQ(active("Qwen3-30B-A3B"),
            30'532'122'624 - int64_t{151936} * 2048 - int64_t{48} * 120 * 3 * 2048 * 768);
  EXPECT_EQ(active("Qwen3-30B-A3B"), 3'041'867'776);
}

TEST_F(WeightsTest, WeightsBytesIsWhatLoadingAllocates) {
  const Model model{.moe = true, .bias = true};
  write(model, model.tensors());
  const HfConfig config = parse_hf_config(model.config(), "c");
  EXPECT_EQ(weights_bytes(config, *reference_, DType::bf16), load().n_bytes());
  EXPECT_EQ(weights_bytes(config, panel_, DType::f32), load(panel_, WeightsDType::f32).n_bytes());
  int64_t numel = 0;
  for (const auto& [name, t] : model.tensors()) numel += static_cast<int64_t>(t.values.size());
  EXPECT_EQ(n_parameters(config), numel);
}

// ---- random weights --------------------------------------------------------------------------

std::vector<std::byte> copy_of(const Weights& weights) {
  return {weights.storage.data(), weights.storage.data() + weights.storage.bytes()};
}

TEST_F(WeightsTest, RandomWeightsDoNotDependOnThreads) {
  const HfConfig config = parse_hf_config(Model{.moe = true, .vocab = 20'011}.config(), "c");
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    const auto one = copy_of(random_weights(config, panel_, dtype, 7, 1));
    EXPECT_EQ(one, copy_of(random_weights(config, panel_, dtype, 7, 3)));
    EXPECT_NE(one, copy_of(random_weights(config, panel_, dtype, 8, 1)));
  }
}

TEST_F(WeightsTest, RandomWeightsAreNearlyNormal) {
  const Model model{.moe = true, .tied = true, .bias = true, .vocab = 20'011};
  const HfConfig config = parse_hf_config(model.config(), "c");
  const Weights w = random_weights(config, *reference_, DType::f32, 1, 2);
  const Weights b = random_weights(config, *reference_, DType::bf16, 1, 2);
  const int64_t n = w.embed_tokens.numel();
  double sum = 0, squares = 0;
  int64_t beyond_two = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float x = w.embed_tokens.f32()[i];
    sum += x;
    squares += double{x} * x;
    beyond_two += std::abs(x) > 0.04f;
    ASSERT_EQ(b.embed_tokens.u16()[i], f32_to_bf16(x)) << i;
  }
  const auto count = static_cast<double>(n);
  EXPECT_NEAR(sum / count, 0, 5 * 0.02 / std::sqrt(count));
  EXPECT_NEAR(std::sqrt(squares / count), 0.02, 0.0002);
  EXPECT_NEAR(static_cast<double>(beyond_two) / count, 0.0455, 0.005);  // of a normal
  EXPECT_EQ(w.norm.f32()[0], 1);
  EXPECT_EQ(w.layers[1].self_attn.k_norm.f32()[kHeadDim - 1], 1);
  EXPECT_EQ(w.layers[0].self_attn.q_bias.f32()[0], 0);
  EXPECT_EQ(w.lm_head.data(), w.embed_tokens.data());
  // Experts, rows and layers are all different draws.
  const auto& experts = std::get<MoeWeights>(w.layers[1].mlp).experts;
  EXPECT_NE(std::memcmp(experts.up_proj.matrix(0).data(), experts.up_proj.matrix(1).data(), 64), 0);
  EXPECT_NE(std::memcmp(experts.up_proj.data(), experts.gate_proj.data(), 64), 0);
  EXPECT_NE(std::memcmp(w.embed_tokens.f32(), w.embed_tokens.f32() + kHidden, 64), 0);
}

}  // namespace
}  // namespace qwen3
