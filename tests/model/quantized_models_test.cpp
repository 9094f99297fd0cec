// Whole models in every quantised form: what they compute is what their twin computes, whose weights are
// the same numbers written out as float32.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/json.h"
#include "formats/checkpoint.h"
#include "kernels/reference/reference_backend.h"
#include "model/test_model.h"
#include "support/expect_error.h"
#include "support/quantized_twins.h"
#include "support/raw_safetensors.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

std::vector<float> logits_of(const std::filesystem::path& directory, WeightsDType dtype) {
  const auto backend = make_reference_backend();
  TestModel model(directory, *backend, dtype);
  TestSequence sequence;
  std::vector<int32_t> ids(13);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 29 % kVocab);
  return model.forward(sequence, ids).values;
}

class QuantizedModels : public ::testing::TestWithParam<Scheme> {};

TEST_P(QuantizedModels, ComputeWhatTheirTwinsCompute) {
  for (const Kind kind : {Kind::dense, Kind::tied, Kind::moe}) {
    const Twins twins(GetParam(), kind);
    const std::vector<float> expected = logits_of(twins.twin_dir.path(), WeightsDType::f32);
    for (const WeightsDType dtype : {WeightsDType::as_stored, WeightsDType::f32}) {
      const std::vector<float> got = logits_of(twins.dir.path(), dtype);
      ASSERT_EQ(got.size(), expected.size());
      EXPECT_LE(relative_error(got, expected), 1e-5) << static_cast<int>(kind);
    }
    // The comparison would see one number in another place.
    Twins other(GetParam(), kind);
    std::string& bytes = other.twin["model.layers.1.self_attn.v_proj.weight"].bytes;
    std::rotate(bytes.begin(), bytes.begin() + 4, bytes.end());
    Twins::write(other.twin_dir, other.twin, config_of(kind, Json::object()));
    const std::vector<float> changed = logits_of(other.twin_dir.path(), WeightsDType::f32);
    EXPECT_GT(relative_error(changed, expected), 1e-4);
  }
}

TEST_P(QuantizedModels, EveryMissingModuleIsNamed) {
  const Twins twins(GetParam(), Kind::dense);
  const std::string module = "model.layers.1.mlp.up_proj";
  RawTensors rest = twins.quantized;
  std::erase_if(rest, [&](const auto& entry) { return entry.first.starts_with(module + "."); });
  Twins::write(twins.dir, rest, config_of(Kind::dense, GetParam().config));
  EXPECT_ERROR(logits_of(twins.dir.path(), WeightsDType::as_stored),
               ErrorKind::not_found,
               "tensor " + module + ".weight: expected shape [96, 64], got no such tensor");
}

TEST_P(QuantizedModels, AShapeOfAnotherModelIsNamed) {
  const Twins twins(GetParam(), Kind::dense);
  const Json wider = {{"intermediate_size", kInner + 32}};
  Json entries = GetParam().config;
  entries.update(wider);
  twins.dir.write("config.json", config_of(Kind::dense, entries));
  EXPECT_ERROR(
      logits_of(twins.dir.path(), WeightsDType::as_stored),
      ErrorKind::corrupt_file,
      "tensor model.layers.0.mlp.gate_proj.weight: expected shape [128, 64], got [96, 64]");
}

INSTANTIATE_TEST_SUITE_P(EveryScheme,
                         QuantizedModels,
                         ::testing::ValuesIn(every_scheme()),
                         [](const auto& suite) { return suite.param.name; });

// NaN among numbers of e4m3 is in no scale: it is seen when the weights are loaded.
TEST(QuantizedModelsRefusals, Float8ThatIsNaNIsNamed) {
  const Twins twins(fp8(), Kind::dense);
  RawTensors damaged = twins.quantized;
  damaged["model.layers.0.mlp.up_proj.weight"].bytes[65] = '\x7F';
  Twins::write(twins.dir, damaged, config_of(Kind::dense, fp8().config));
  EXPECT_ERROR(logits_of(twins.dir.path(), WeightsDType::as_stored),
               ErrorKind::corrupt_file,
               "tensor model.layers.0.mlp.up_proj.weight: rows 0 to 95: expected finite numbers in "
               "float8_e4m3");
}

// A bias that is not zero, where the config knows of none.
TEST(QuantizedModelsRefusals, ABiasThatIsNotZeroIsNamed) {
  const Scheme scheme = gptq(4, "gptq", false);
  const Twins twins(scheme, Kind::dense);
  RawTensors biased = twins.quantized;
  biased["model.layers.0.self_attn.q_proj.bias"].bytes[1] = '\x3C';
  Twins::write(twins.dir, biased, config_of(Kind::dense, scheme.config));
  EXPECT_ERROR(logits_of(twins.dir.path(), WeightsDType::as_stored),
               ErrorKind::corrupt_file,
               "tensor model.layers.0.self_attn.q_proj.bias: expected no biases");
}

// Any number of threads, the same weights.
TEST(QuantizedModelsRefusals, ThreadsLoadTheSameWeights) {
  for (const Scheme& scheme : {awq(), gptq(8, "gptq_v2", true), mlx(6)}) {
    const Twins twins(scheme, Kind::moe);
    const auto backend = make_reference_backend();
    const Checkpoint checkpoint = Checkpoint::open(twins.dir.path());
    const auto bytes = [&](int n_threads) {
      const Weights w = load_weights(checkpoint, *backend, WeightsDType::f32, n_threads, {});
      return std::vector<std::byte>(w.storage.data(), w.storage.data() + w.n_bytes());
    };
    EXPECT_EQ(bytes(1), bytes(3)) << scheme.name;
  }
}

}  // namespace
}  // namespace qwen3::test
