// Models that need no checkpoint: tensor number t has the elements 0.3 * sin(0.7 i + 1.3 t), norms
// 1 + 0.1 * cos(0.5 i + t), computed in double and rounded to float32. Anyone can rebuild them, so
// they tie this implementation to others; the goldens are transformers' float64 results.
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "model/losses.h"
#include "model/test_model.h"
#include "support/far_backend.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

const std::filesystem::path kModels =
    std::filesystem::path(QWEN3_SOURCE_DIR) / "tests" / "data" / "models";

// Float32 against float64: two layers of sums of at most 32 terms of size one.
constexpr double kTolerance = 5e-6;

struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;
};

// Official names in the order in which the formula numbers the tensors.
std::vector<NamedShape> formula_tensors(const Json& c) {
  const auto key = [&](const char* name) { return c.value(name, int64_t{0}); };
  const int64_t hidden = key("hidden_size"), head_dim = key("head_dim");
  const int64_t q = key("num_attention_heads") * head_dim,
                kv = key("num_key_value_heads") * head_dim;
  const int64_t n_experts = key("num_experts");
  std::vector<NamedShape> all{{"model.embed_tokens.weight", {key("vocab_size"), hidden}}};
  const auto add_mlp = [&](const std::string& prefix, int64_t size) {
    all.push_back({prefix + "gate_proj.weight", {size, hidden}});
    all.push_back({prefix + "up_proj.weight", {size, hidden}});
    all.push_back({prefix + "down_proj.weight", {hidden, size}});
  };
  for (int64_t i = 0; i < key("num_hidden_layers"); ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    all.push_back({layer + "input_layernorm.weight", {hidden}});
    all.push_back({layer + "self_attn.q_proj.weight", {q, hidden}});
    all.push_back({layer + "self_attn.k_proj.weight", {kv, hidden}});
    all.push_back({layer + "self_attn.v_proj.weight", {kv, hidden}});
    all.push_back({layer + "self_attn.o_proj.weight", {hidden, q}});
    all.push_back({layer + "self_attn.q_norm.weight", {head_dim}});
    all.push_back({layer + "self_attn.k_norm.weight", {head_dim}});
    all.push_back({layer + "post_attention_layernorm.weight", {hidden}});
    if (n_experts == 0) {
      add_mlp(layer + "mlp.", key("intermediate_size"));
      continue;
    }
    all.push_back({layer + "mlp.gate.weight", {n_experts, hidden}});
    for (int64_t e = 0; e < n_experts; ++e) {
      add_mlp(fmt::format("{}mlp.experts.{}.", layer, e), key("moe_intermediate_size"));
    }
  }
  all.push_back({"model.norm.weight", {hidden}});
  all.push_back({"lm_head.weight", {key("vocab_size"), hidden}});
  return all;
}

void write_formula_checkpoint(const TempDir& directory, const Json& config) {
  const std::vector<NamedShape> names = formula_tensors(config);
  std::vector<std::vector<float>> values(names.size());
  std::vector<SafetensorsTensor> tensors;
  for (size_t t = 0; t < names.size(); ++t) {
    int64_t numel = 1;
    for (const int64_t d : names[t].shape) numel *= d;
    const bool norm = names[t].name.find("norm") != std::string::npos;
    const auto number = static_cast<double>(t);
    for (int64_t i = 0; i < numel; ++i) {
      const auto at = static_cast<double>(i);
      values[t].push_back(static_cast<float>(norm ? 1 + 0.1 * std::cos(0.5 * at + number)
                                                  : 0.3 * std::sin(0.7 * at + 1.3 * number)));
    }
    tensors.push_back({names[t].name,
                       DType::f32,
                       names[t].shape,
                       std::as_bytes(std::span<const float>(values[t]))});
  }
  directory.write("config.json", dump_json(config));
  write_safetensors((directory.path() / "model.safetensors").string(), tensors);
}

std::vector<float> flat(const Json& rows) {
  std::vector<float> values;
  for (const Json& row : rows) {
    for (const Json& value : row) values.push_back(value.get<float>());
  }
  return values;
}

Json cases() {
  const std::filesystem::path file = kModels / "formula_models.json";
  return parse_json(read_text_file(file, 1 << 20), file.string());
}

// Case, and whether the memory is out of the host's reach.
class FormulaModel : public ::testing::TestWithParam<std::tuple<size_t, bool>> {};

TEST_P(FormulaModel, AgreesWithFloat64) {
  const Json golden = cases().at(std::get<0>(GetParam()));
  SCOPED_TRACE(dump_json(golden["config"]));
  const TempDir directory;
  write_formula_checkpoint(directory, golden["config"]);
  std::unique_ptr<Backend> backend = make_reference_backend();
  if (std::get<1>(GetParam())) backend = std::make_unique<FarBackend>();
  TestModel model(directory.path(), *backend);
  TestSequence sequence;
  TapCollector taps;
  const auto ids = golden["ids"].get<std::vector<int32_t>>();
  Array logits = model.forward(sequence, ids, &taps);
  EXPECT_LE(relative_error(logits.values, flat(golden["logits"])), kTolerance);
  const Tensor view = Tensor::view(logits.values, {logits.shape[0], logits.shape[1]});
  EXPECT_NEAR(cross_entropy(view, ids), golden["ce_loss"].get<double>(), kTolerance);
  if (golden["model"] == "dense") return;

  std::vector<Array> router;
  for (size_t i = 0; i < 2; ++i) {
    router.push_back(taps.arrays.at(fmt::format("layers.{}.mlp.router_logits", i)));
    EXPECT_LE(relative_error(router[i].values, flat(golden["router_logits"][i])), kTolerance);
    EXPECT_EQ(taps.arrays.at(fmt::format("layers.{}.mlp.selected_experts", i)).values,
              flat(golden["selected_experts"][i]));
  }
  std::vector<Tensor> layers;
  for (Array& array : router) {
    layers.push_back(Tensor::view(array.values, {array.shape[0], array.shape[1]}));
  }
  EXPECT_NEAR(load_balancing_loss(layers, 2), golden["aux_loss"].get<double>(), kTolerance);
  EXPECT_NEAR(educational_load_balancing_loss(layers, 2),
              golden["aux_loss_educational"].get<double>(),
              kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Formula,
                         FormulaModel,
                         ::testing::Combine(::testing::Range(size_t{0}, cases().size()),
                                            ::testing::Bool()),
                         [](const auto& param) {
                           const Json golden = cases().at(std::get<0>(param.param));
                           return golden["model"].get<std::string>() + "_" +
                                  golden["variant"].get<std::string>() +
                                  (std::get<1>(param.param) ? "_far" : "");
                         });

}  // namespace
}  // namespace qwen3::test
