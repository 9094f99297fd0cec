// Loading is checked against the values written, for every tensor, through a backend that keeps
// rows as they are and one that packs panels.
#include "model/weights.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "formats/official_configs.h"
#include "model/weights_fixture.h"
#include "support/far_backend.h"

namespace qwen3::test {
namespace {

TEST_F(WeightsTest, EveryTensorInEveryTypeLayoutAndNumberOfThreads) {
  for (const bool moe : {false, true}) {
    for (const DType stored : {DType::bf16, DType::f16, DType::f32}) {
      const StoredModel model{.moe = moe, .tied = moe, .bias = !moe, .dtype = stored};
      write(model, model.tensors());
      const FarBackend far;
      for (const Backend* backend :
           std::initializer_list<const Backend*>{reference_.get(), &panel_, &far}) {
        for (const int n_threads : {1, 3}) {
          Checker(*backend, weight_type_of(stored))
              .all(load(*backend, WeightsDType::as_stored, n_threads), model);
          Checker(*backend, WeightType::f32)
              .all(load(*backend, WeightsDType::f32, n_threads), model);
          Checker(*backend, WeightType::bf16)
              .all(load(*backend, WeightsDType::bf16, n_threads), model);
        }
      }
    }
  }
}

// Matrices of several jobs each.
TEST_F(WeightsTest, LargeMatricesAreLoadedInParts) {
  const StoredModel model{.vocab = 20'011, .dtype = DType::f32};
  write(model, model.tensors());
  Checker(panel_, WeightType::f32).all(load(panel_, WeightsDType::as_stored, 2), model);
  Checker(panel_, WeightType::bf16).all(load(panel_, WeightsDType::bf16, 2), model);
}

TEST_F(WeightsTest, FusedExpertsAreTheSame) {
  const StoredModel model{.moe = true};
  for (const std::string suffix : {"", ".weight"}) {
    write(model, fuse_experts(model.tensors(), suffix));
    Checker(*reference_, WeightType::bf16).all(load(), model);
    Checker(panel_, WeightType::f32).all(load(panel_, WeightsDType::f32, 2), model);
  }
}

TEST_F(WeightsTest, NamesWithoutThePrefix) {
  const StoredModel model{.moe = true, .tied = true};
  Tensors stripped;
  for (auto& [name, tensor] : model.tensors())
    stripped[name.substr(name.starts_with("model.") ? 6 : 0)] = tensor;
  write(model, stripped);
  Checker(*reference_, WeightType::bf16).all(load(), model);
}

TEST_F(WeightsTest, ATiedModelIgnoresAHeadThatIsTheTableAgain) {
  const StoredModel model{.tied = true};
  Tensors tensors = model.tensors();
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  write(model, tensors);
  Checker(*reference_, WeightType::bf16).all(load(), model);
  tensors["lm_head.weight"].dtype = DType::f32;  // the same numbers
  write(model, tensors);
  Checker(*reference_, WeightType::bf16).all(load(), model);
}

TEST_F(WeightsTest, AnEmbeddingModelHasNoHead) {
  const StoredModel model;
  Tensors tensors = model.tensors();
  tensors.erase("lm_head.weight");
  write(model, tensors);
  const Weights weights = load();
  EXPECT_FALSE(weights.lm_head.weight);
  EXPECT_TRUE(weights.embed_tokens);
}

TEST_F(WeightsTest, Shards) {
  const StoredModel model{.moe = true};
  dir_.write("config.json", model.config());
  Tensors first = model.tensors(), second;
  std::string map;
  for (int i = 0; i < 20; ++i) second.insert(first.extract(first.begin()));
  for (const auto& [name, t] : first) map += ",\"" + name + "\":\"one.safetensors\"";
  for (const auto& [name, t] : second) map += ",\"" + name + "\":\"two.safetensors\"";
  write_tensors(dir_.path() / "one.safetensors", first);
  write_tensors(dir_.path() / "two.safetensors", second);
  dir_.write("model.safetensors.index.json", "{\"weight_map\":{" + map.substr(1) + "}}");
  Checker(panel_, WeightType::bf16).all(load(panel_, WeightsDType::as_stored, 3), model);
}

// Old files may have tensors at odd offsets: one byte in front moves all the others.
TEST_F(WeightsTest, DataNeedNotBeAligned) {
  const StoredModel model;
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
  ASSERT_EQ(Checkpoint::open(dir_.path()).find("model.norm.weight")->begin % 2, 1);
  Checker(panel_, WeightType::bf16).all(load(panel_), model);
}

TEST_F(WeightsTest, ConversionRoundsToNearestEven) {
  const StoredModel model{.dtype = DType::f32};
  Tensors tensors = model.tensors();
  FileTensor& q = tensors["model.layers.0.self_attn.q_proj.weight"];
  const std::vector<std::pair<float, float>> cases = {{1 + 0x1p-8f, 1},
                                                      {1 + 3 * 0x1p-8f, 1 + 0x1p-6f},
                                                      {1 + 0x1p-8f + 0x1p-20f, 1 + 0x1p-7f},
                                                      {-0.0f, -0.0f}};
  for (size_t i = 0; i < cases.size(); ++i) q.values[i] = cases[i].first;
  write(model, tensors);
  const auto element = [](const Weights& weights,
                          size_t i) {  // the reference keeps rows as they are
    const Weight& w = weights.layers[0].self_attn.q_proj.weight;
    return load_f32(w.data(), dtype_of(w.type()), static_cast<int64_t>(i));
  };
  const Weights exact = load(), rounded = load(*reference_, WeightsDType::bf16);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(element(exact, i), cases[i].first);
    EXPECT_EQ(element(rounded, i), cases[i].second);
  }
}

TEST_F(WeightsTest, EachTensorKeepsItsOwnType) {
  const StoredModel model{.moe = true};
  Tensors tensors = model.tensors();
  tensors["lm_head.weight"].dtype = DType::f32;
  tensors["model.norm.weight"].dtype = DType::f16;
  tensors["model.layers.1.mlp.experts.2.up_proj.weight"].dtype = DType::f16;
  write(model, tensors);
  const Weights weights = load();
  EXPECT_EQ(weights.embed_tokens.type(), WeightType::bf16);
  EXPECT_EQ(weights.lm_head.weight.type(), WeightType::f32);
  EXPECT_EQ(weights.norm.dtype(), DType::f32);
  const auto& moe = std::get<MoeWeights>(weights.layers[1].mlp);
  EXPECT_EQ(moe.router.weight.type(), WeightType::bf16);
  EXPECT_EQ(moe.experts.gate_proj.type(), WeightType::bf16);
  EXPECT_EQ(moe.experts.up_proj.type(), WeightType::f32);  // mixed: float32 holds all exactly
  EXPECT_EQ(load_f32(moe.experts.up_proj.matrix(2).data(), DType::f32, 0),
            value_at("model.layers.1.mlp.experts.2.up_proj.weight", 0));
}

// ---- progress --------------------------------------------------------------------------------

TEST_F(WeightsTest, ProgressCountsBytesOnTheCallingThread) {
  const StoredModel model{.vocab = 20'011};
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
  const StoredModel model{.vocab = 20'011};
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
  const StoredModel model{.moe = true, .bias = true};
  write(model, model.tensors());
  const HfConfig config = parse_hf_config(model.config(), "c");
  EXPECT_EQ(random_weights_in_memory(config, *reference_, WeightType::bf16).bytes,
            load().n_bytes());
  EXPECT_EQ(random_weights_in_memory(config, panel_, WeightType::f32).bytes,
            load(panel_, WeightsDType::f32).n_bytes());
  int64_t numel = 0;
  for (const auto& [name, t] : model.tensors()) numel += static_cast<int64_t>(t.values.size());
  EXPECT_EQ(n_parameters(config), numel);
}

}  // namespace
}  // namespace qwen3::test
