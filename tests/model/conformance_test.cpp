// The oracle: our forward pass against what transformers computed from the same files
// (tests/goldens/make_model_goldens.py). In float32 both backends must agree on every tensor that
// the golden file names to ‖Δ‖ / ‖golden‖ <= 1e-5, and on every greedy token (the goldens have no
// near ties). `reference` runs the weights as stored; `cpu` widens them, because its 16-bit
// products round activations too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "base/json.h"
#include "kernels/backend.h"
#include "model/losses.h"
#include "model/test_model.h"
#include "support/far_backend.h"

namespace qwen3::test {
namespace {

using std::filesystem::path;

constexpr double kTapTolerance = 1e-5;
// Losses are means of float32 values on both sides.
constexpr double kLossTolerance = 1e-5;

const path kModels = path(QWEN3_SOURCE_DIR) / "tests" / "data" / "models";

Json read_json(const path& file) {
  return parse_json(read_text_file(file, 1 << 20), file.string());
}

std::vector<int32_t> ids_of(const Json& json) { return json.get<std::vector<int32_t>>(); }

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The router logits of all sparse layers, as views into `taps`; only rows that `mask` keeps.
std::vector<Array> router_logits(const TapCollector& taps,
                                 const HfConfig& config,
                                 std::span<const int32_t> mask) {
  std::vector<Array> layers;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    if (!config.layer_is_sparse[static_cast<size_t>(i)]) continue;
    const Array& all = taps.arrays.at(fmt::format("layers.{}.mlp.router_logits", i));
    Array kept{{0, config.num_experts}, {}};
    for (size_t t = 0; t < mask.size(); ++t) {
      if (mask[t] == 0) continue;
      const auto row = all.values.begin() + static_cast<int64_t>(t) * config.num_experts;
      kept.values.insert(kept.values.end(), row, row + config.num_experts);
      ++kept.shape[0];
    }
    layers.push_back(std::move(kept));
  }
  return layers;
}

std::vector<Tensor> views(std::vector<Array>& arrays) {
  std::vector<Tensor> tensors;
  for (Array& array : arrays) {
    tensors.push_back(Tensor::view(array.values, {array.shape[0], array.shape[1]}));
  }
  return tensors;
}

// Every golden tensor was seen and agrees; the message names the first one, in the order of
// execution, that does not.
void expect_taps_agree(const TapCollector& taps, const std::map<std::string, Array>& goldens) {
  for (const auto& [name, golden] : goldens) {
    ASSERT_TRUE(taps.arrays.contains(name)) << "the model never showed tap " << name;
  }
  double worst = 0;
  for (const std::string& name : taps.names) {
    const auto golden = goldens.find(name);
    if (golden == goldens.end()) continue;
    const Array& got = taps.arrays.at(name);
    ASSERT_EQ(got.shape, golden->second.shape) << name;
    const double error = relative_error(got.values, golden->second.values);
    ASSERT_LE(error, name.ends_with("selected_experts") ? 0 : kTapTolerance)
        << "first tap that diverges: " << name;
    worst = std::max(worst, error);
  }
  ::testing::Test::RecordProperty("worst_relative_error", fmt::format("{:.2e}", worst));
}

// Backend and model.
class Conformance : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  path directory() const { return kModels / std::get<1>(GetParam()); }
  bool reference() const { return std::get<0>(GetParam()) != "cpu"; }  // near or far
  TestModel load() {
    return TestModel(directory(),
                     *backend_,
                     reference() ? WeightsDType::as_stored : WeightsDType::f32,
                     block_size());
  }
  int64_t block_size() const { return reference() ? 4 : 16; }  // cpu reads keys in sixteens
  // Only the reference backend has all attention probabilities in one place to show.
  std::map<std::string, Array> goldens() const {
    std::map<std::string, Array> arrays = read_arrays(directory() / "golden.safetensors");
    if (!reference())
      std::erase_if(arrays, [](const auto& a) { return a.first.ends_with("probs"); });
    return arrays;
  }

  static std::unique_ptr<Backend> make(const std::string& name) {
    if (name == "far") return std::make_unique<FarBackend>();
    return make_backend({.name = name, .n_threads = 2, .isa = ""});
  }

  std::unique_ptr<Backend> backend_ = make(std::get<0>(GetParam()));
  Json golden_ = read_json(directory() / "golden.json");
  std::vector<int32_t> prompt_ = ids_of(golden_["prompt"]);
};

TEST_P(Conformance, EveryTapAgreesWithTransformers) {
  TestModel model = load();
  TapCollector taps;
  TestSequence sequence;
  model.forward(sequence, prompt_, &taps);
  expect_taps_agree(taps, goldens());
}

TEST_P(Conformance, LogitsAgreeWhenNobodyWatches) {
  TestModel model = load();
  TestSequence sequence;
  const Array logits = model.forward(sequence, prompt_);
  const Array golden = goldens().at("logits");
  EXPECT_EQ(logits.shape, golden.shape);
  EXPECT_LE(relative_error(logits.values, golden.values), kTapTolerance);
}

TEST_P(Conformance, LossesAgree) {
  TestModel model = load();
  TapCollector taps;
  TestSequence sequence;
  Array logits = model.forward(sequence, prompt_, &taps);
  const Tensor view = Tensor::view(logits.values, {logits.shape[0], logits.shape[1]});
  const double ce = cross_entropy(view, ids_of(golden_["labels"]));
  EXPECT_NEAR(ce, golden_["ce_loss"].get<double>(), kLossTolerance * ce);
  if (model.config().model_type != ModelType::qwen3_moe) return;

  const int64_t top_k = model.config().num_experts_per_tok;
  const std::vector<int32_t> everything(prompt_.size(), 1);
  std::vector<Array> all = router_logits(taps, model.config(), everything);
  std::vector<Array> kept = router_logits(taps, model.config(), ids_of(golden_["attention_mask"]));
  const double aux = load_balancing_loss(views(all), top_k);
  EXPECT_NEAR(aux, golden_["aux_loss"].get<double>(), kLossTolerance * aux);
  EXPECT_NEAR(ce + model.config().router_aux_loss_coef * aux,
              golden_["loss"].get<double>(),
              kLossTolerance * ce);
  // Without padding in our batches, a mask means: leave those rows out.
  EXPECT_NEAR(load_balancing_loss(views(kept), top_k),
              golden_["aux_loss_masked"].get<double>(),
              kLossTolerance * aux);
  EXPECT_NEAR(educational_load_balancing_loss(views(all), top_k),
              golden_["aux_loss_educational"].get<double>(),
              kLossTolerance * aux);
}

TEST_P(Conformance, GreedyTokensAgreeAloneAndTogether) {
  TestModel model = load();
  std::vector<std::vector<int32_t>> prompts, expected;
  for (const Json& item : golden_["greedy"]) {
    prompts.push_back(ids_of(item["prompt"]));
    expected.push_back(ids_of(item["ids"]));
  }
  const auto n_new = static_cast<int64_t>(expected.front().size());
  EXPECT_EQ(n_new, 40);
  EXPECT_EQ(model.greedy(prompts, n_new), expected) << "three sequences in every batch";
  for (size_t i = 0; i < prompts.size(); ++i) {
    TestModel alone = load();
    EXPECT_EQ(alone.greedy({&prompts[i], 1}, n_new).front(), expected[i]) << "sequence " << i;
  }
}

// backend.h: a row is bit-identical in whatever batch it appears; for 16-bit products as well.
TEST_P(Conformance, ChunksAndSingleTokensGiveThePrefillBitForBit) {
  for (const WeightsDType dtype : {WeightsDType::as_stored, WeightsDType::f32}) {
    TestModel model(directory(), *backend_, dtype, block_size());
    TestSequence whole, chunked, single;
    const std::vector<float> expected = model.forward(whole, prompt_).values;
    const std::span<const int32_t> ids(prompt_);
    std::vector<float> chunks, singles;
    const auto append = [](std::vector<float>& to, const Array& array) {
      to.insert(to.end(), array.values.begin(), array.values.end());
    };
    append(chunks, model.forward(chunked, ids.first(5)));
    append(chunks, model.forward(chunked, ids.subspan(5, 1)));
    append(chunks, model.forward(chunked, ids.subspan(6)));
    for (size_t i = 0; i < ids.size(); ++i) {
      append(singles, model.forward(single, ids.subspan(i, 1)));
    }
    EXPECT_EQ(chunks, expected);
    EXPECT_EQ(singles, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Models,
                         Conformance,
                         ::testing::Combine(::testing::Values("reference", "cpu", "far"),
                                            ::testing::ValuesIn(model_names())),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_" + std::get<1>(test.param);
                         });

// float32 holds every bf16 and f16 value, so widening at load changes no bit of a result.
TEST(ReferenceBackend, WeightsWidenedToFloat32GiveTheSameBits) {
  const std::unique_ptr<Backend> backend = make_backend({.name = "reference", .isa = ""});
  for (const char* name : {"dense_bf16", "dense_f16", "moe"}) {
    TestModel stored(kModels / name, *backend, WeightsDType::as_stored);
    TestModel widened(kModels / name, *backend, WeightsDType::f32);
    const auto prompt = ids_of(read_json(kModels / name / "golden.json")["prompt"]);
    TestSequence a, b;
    EXPECT_EQ(stored.forward(a, prompt).values, widened.forward(b, prompt).values) << name;
  }
}

// Memory that the host may not touch, and batches padded as those of a recorded step, change no bit.
TEST(FarBackend, GivesTheBitsOfTheReference) {
  const auto reference = make_reference_backend();
  FarBackend far;
  for (const char* name : {"dense_bf16", "moe"}) {
    TestModel near_model(kModels / name, *reference), far_model(kModels / name, far);
    const auto prompt = ids_of(read_json(kModels / name / "golden.json")["prompt"]);
    std::array<TestSequence, 5> near_sequences, far_sequences;
    for (int step = 0; step < 3; ++step) {
      // The first step has chunks of any length, the others one row for each sequence: 5 of 8.
      std::vector<TestModel::Chunk> near_chunks, far_chunks;
      for (size_t s = 0; s < near_sequences.size(); ++s) {
        const std::span<const int32_t> ids =
            step == 0
                ? std::span(prompt).first(1 + s % prompt.size())
                : std::span(prompt).subspan((s + static_cast<size_t>(step)) % prompt.size(), 1);
        near_chunks.push_back({&near_sequences[s], ids});
        far_chunks.push_back({&far_sequences[s], ids});
      }
      EXPECT_EQ(far_model.forward(far_chunks).values, near_model.forward(near_chunks).values)
          << name << " step " << step;
    }
  }
}

// Its negative control: what the tests over far memory would see.
TEST(FarBackendDeathTest, AHostThatTouchesItDies) {
  const FarBackend far;
  const Storage storage = far.allocate(64);
  const Tensor tensor(storage.data(), DType::f32, {16}, storage.place());
  EXPECT_EXIT({ *static_cast<volatile float*>(tensor.data()) = 1; },
              ::testing::KilledBySignal(SIGSEGV),
              "");
}

TEST(ConformanceData, EveryVariantIsThere) {
  EXPECT_THAT(
      model_names(),
      ::testing::IsSupersetOf(
          {"dense", "dense_after_rope", "dense_v5", "moe", "moe_fused", "moe_sparse_step"}));
  EXPECT_EQ(model_names().size(), 21u);
}

}  // namespace
}  // namespace qwen3::test
