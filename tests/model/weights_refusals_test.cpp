// Files that are no model of the config, files that change under the load, and models that do not
// fit: refused, each in words that name what is wrong.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>

#include "model/weights.h"
#include "model/weights_fixture.h"
#include "support/expect_error.h"

namespace qwen3::test {
namespace {

namespace fs = std::filesystem;
constexpr auto kCorrupt = ErrorKind::corrupt_file;
constexpr auto kNotFound = ErrorKind::not_found;

TEST_F(WeightsTest, EveryMissingTensorIsNamed) {
  const StoredModel model{.moe = true, .bias = true};
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
  const StoredModel model{.moe = true, .bias = true};
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
  const StoredModel model{.tied = true};
  Tensors tensors = model.tensors();
  for (const char* name : {"model.layers.0.self_attn.rotary_emb.inv_freq",
                           "model.rotary_emb.inv_freq",
                           "mtp.layers.0.mlp.up_proj.weight",
                           "model.mtp.norm.weight"}) {
    tensors[name] = {{3}, DType::f32, {1, 2, 3}};
  }
  write(model, tensors);
  Checker(*reference_, WeightType::bf16).all(load(), model);
  tensors["model.vision.weight"] = {{3}, DType::f32, {1, 2, 3}};
  write(model, tensors);
  EXPECT_ERROR(load(), kCorrupt, "tensor model.vision.weight", "has no use for");
}

// A finetuned head beside a flag that says there is none: neither is taken without a word.
TEST_F(WeightsTest, AHeadOfATiedModelThatDiffersIsNamed) {
  const StoredModel model{.tied = true, .vocab = 30'000};  // several pieces
  const Tensors tensors = model.tensors();
  for (const int64_t row : {int64_t{0}, int64_t{29'999}}) {
    for (const DType dtype : {DType::bf16, DType::f32}) {
      Tensors untied = tensors;
      FileTensor& head = untied["lm_head.weight"] = tensors.at("model.embed_tokens.weight");
      head.dtype = dtype;
      head.values[static_cast<size_t>(row * kHidden + 5)] += 1;
      write(model, untied);
      for (const int n_threads : {1, 3}) {
        EXPECT_ERROR(
            load(*reference_, WeightsDType::as_stored, n_threads),
            kCorrupt,
            "model.safetensors: tensor lm_head.weight: expected the numbers of embed_tokens, as "
            "tie_word_embeddings is true, got others from row " +
                std::to_string(row) + " on",
            "set tie_word_embeddings to false");
      }
    }
  }
  Tensors other = tensors;
  other["lm_head.weight"] = {{3}, DType::bf16, {1, 2, 3}};
  write(model, other);
  EXPECT_ERROR(load(), kCorrupt, "tensor lm_head.weight", "got shape [3]");
}

TEST_F(WeightsTest, APrefixBeforeEveryNameIsNamed) {
  const StoredModel model;
  for (const std::string prefix : {"_orig_mod.", "base_model.model.", "module."}) {
    Tensors renamed;
    for (const auto& [name, tensor] : model.tensors()) renamed[prefix + name] = tensor;
    write(model, renamed);
    EXPECT_ERROR(load(),
                 kNotFound,
                 "model.safetensors: tensor " + prefix + "model.embed_tokens.weight",
                 "take \"" + prefix + "\" off the names");
  }
}

TEST_F(WeightsTest, EveryWrongShapeIsNamed) {
  const StoredModel model{.moe = true, .bias = true};
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
  const StoredModel model{.moe = true};
  Tensors tensors = fuse_experts(model.tensors(), "");
  FileTensor& fused = tensors["model.layers.1.mlp.experts.gate_up_proj"];
  std::swap(fused.shape[1], fused.shape[2]);
  write(model, tensors);
  EXPECT_ERROR(
      load(), kCorrupt, "experts.gate_up_proj: expected shape [5, 36, 24], got [5, 24, 36]");
}

TEST_F(WeightsTest, ThreadsAreChecked) {
  const StoredModel model;
  write(model, model.tensors());
  EXPECT_ERROR(load(*reference_, WeightsDType::as_stored, 0),
               ErrorKind::invalid_argument,
               "threads",
               "got 0");
}

// Otherwise every answer would be NaN, and nothing would say why.
TEST_F(WeightsTest, NumbersThatAreNoneAreNamed) {
  const StoredModel model{.moe = true, .bias = true, .dtype = DType::f32};
  const Tensors tensors = model.tensors();
  for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    for (const auto& [name, tensor] : tensors) {
      for (const size_t at : {size_t{0}, tensor.values.size() - 1}) {
        Tensors changed = tensors;
        changed[name].values[at] = value;
        write(model, changed);
        EXPECT_ERROR(load(), kCorrupt, "tensor " + name + ": rows ", "expected finite numbers");
      }
    }
  }
  // Finite as float32, and beyond what bfloat16 holds.
  Tensors changed = tensors;
  changed["model.embed_tokens.weight"].values[3] = std::numeric_limits<float>::max();
  write(model, changed);
  EXPECT_NO_THROW(load());
  EXPECT_ERROR(load(*reference_, WeightsDType::bf16),
               kCorrupt,
               "tensor model.embed_tokens.weight: rows 0",
               "expected finite numbers in bfloat16");
}

TEST_F(WeightsTest, AFileThatIsWrittenToMeanwhileIsAnError) {
  const StoredModel model;
  write(model, model.tensors());
  const Checkpoint checkpoint = Checkpoint::open(dir_.path());
  const fs::path file = dir_.path() / "model.safetensors";
  fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(1));
  EXPECT_ERROR(load_weights(checkpoint, *reference_, WeightsDType::as_stored, 1, {}),
               kCorrupt,
               "model.safetensors: written to while it was read");
}

// T-S4: no SIGBUS, whatever is cut off, and whenever.
TEST_F(WeightsTest, AFileThatShrinksIsAnError) {
  const StoredModel model{.vocab = 20'011};
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
  HfConfig config = parse_hf_config(StoredModel{}.config(), "c");
  config.vocab_size = 1 << 24;
  config.hidden_size = 1 << 20;
  // Embedding and head of 2^44 elements each, 2 bytes: 70.4 TB.
  EXPECT_ERROR(random_weights(config, *reference_, WeightType::bf16, 1, 1),
               ErrorKind::out_of_memory,
               "random weights: needs 703",
               "GB for weights",
               "GB available; a smaller model or a machine with");
  EXPECT_ERROR(random_weights(config, *reference_, WeightType::f32, 1, 1),
               ErrorKind::out_of_memory,
               "a smaller model, dtype bfloat16 or a machine with");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(WeightsTest, TheLimitOnAddressSpaceCounts) {
  const StoredModel model{.vocab = 2'000'000, .dtype = DType::bf16};
  const HfConfig config = parse_hf_config(model.config(), "c");
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &old), 0);
  const rlimit small{rlim_t{300} << 20, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &small), 0);
  EXPECT_ERROR(random_weights(config, *reference_, WeightType::f32, 1, 1),
               ErrorKind::out_of_memory,
               "needs 384.0 MB for weights",
               "available");
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &old), 0);
}
#endif

}  // namespace
}  // namespace qwen3::test
