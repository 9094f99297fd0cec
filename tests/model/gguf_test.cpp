// A model out of GGUF computes what the same numbers in safetensors compute, bit for bit.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "formats/open_source.h"
#include "formats/safetensors.h"
#include "kernels/reference/reference_backend.h"
#include "model/test_model.h"
#include "model/weights_fixture.h"
#include "support/expect_error.h"
#include "support/gguf_model.h"
#include "support/temp_dir.h"
#include "tensor/blocks.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;
const fs::path kRoot = QWEN3_SOURCE_DIR;
const std::vector<int32_t> kIds = {5, 17, 200, 3, 42, 11, 256, 8};

std::vector<float> logits(const fs::path& path, const std::string& backend_name) {
  const auto backend = make_backend({.name = backend_name, .n_threads = 1, .isa = ""});
  test::TestModel model(path, *backend, WeightsDType::f32, 16);
  test::TestSequence sequence;
  return model.forward(sequence, kIds).values;
}

// The same logits from both, on both backends.
void expect_equal(const fs::path& a, const fs::path& b) {
  for (const char* backend : {"reference", "cpu"}) {
    const std::vector<float> want = logits(a, backend);
    ASSERT_FALSE(want.empty());
    EXPECT_EQ(logits(b, backend), want) << a << " on " << backend;
    for (const float x : want) ASSERT_TRUE(std::isfinite(x)) << a;
  }
}

TEST(Gguf, NanoGivesNanosLogits) {
  const test::TempDir dir;
  expect_equal(kRoot / "models/nano",
               dir.write("nano.gguf", test::gguf_of(kRoot / "models/nano").file()));
}

TEST(Gguf, NanoMoeGivesNanoMoesLogits) {
  const test::TempDir dir;
  expect_equal(kRoot / "models/nano-moe",
               dir.write("moe.gguf", test::gguf_of(kRoot / "models/nano-moe").file()));
}

// The same but for the order of sums, which belongs to the blocks of what is stored (tensor/leaves.h).
void expect_near(const fs::path& a, const fs::path& b) {
  for (const char* backend : {"reference", "cpu"}) {
    const std::vector<float> want = logits(a, backend), got = logits(b, backend);
    ASSERT_FALSE(want.empty());
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], 5e-6f) << a << " on " << backend << ", " << i;
    }
  }
}

// gguf-py's quantised files, against their numbers widened and written as float32 safetensors.
void expect_equal_widened(const char* gguf) {
  const test::TempDir dir;
  const fs::path path = kRoot / "tests/data/gguf" / gguf;
  const auto source = open_source(path);
  const HfConfig& c = source->config();
  test::Tensors tensors;
  for (const std::string& name : source->names()) {
    const SourceTensor& stored = *source->find(name);
    test::FileTensor tensor{stored.shape, DType::f32, {}};
    int64_t numel = 1;
    for (const int64_t dim : stored.shape) numel *= dim;
    tensor.values.resize(static_cast<size_t>(numel));
    const std::string bytes = test::bytes_of(stored);
    widen(
        tensor.values.data(), stored.type, reinterpret_cast<const std::byte*>(bytes.data()), numel);
    tensors[name] = std::move(tensor);
  }
  dir.write("config.json",
            dump_json({{"model_type", c.moe() ? "qwen3_moe" : "qwen3"},
                       {"vocab_size", c.vocab_size},
                       {"hidden_size", c.hidden_size},
                       {"intermediate_size", c.intermediate_size},
                       {"num_hidden_layers", c.num_hidden_layers},
                       {"num_attention_heads", c.num_attention_heads},
                       {"num_key_value_heads", c.num_key_value_heads},
                       {"head_dim", c.head_dim},
                       {"max_position_embeddings", 128},
                       {"rope_theta", 1e6},
                       {"rms_norm_eps", 1e-6},
                       {"num_experts", 4},
                       {"num_experts_per_tok", 2},
                       {"moe_intermediate_size", 32},
                       {"norm_topk_prob", true},
                       {"tie_word_embeddings", c.tie_word_embeddings}}));
  test::write_tensors(dir.path() / "model.safetensors", tensors);
  expect_near(dir.path(), path);
}

TEST(Gguf, MixedTypesAreTheirExactValues) { expect_equal_widened("dense.gguf"); }
TEST(Gguf, ExpertsOfMixedTypesAreTheirExactValues) {
  expect_equal_widened("moe-00001-of-00003.gguf");
}

// gate and up in one stack, as the converter can fuse them.
TEST(Gguf, FusedExperts) {
  const fs::path moe = kRoot / "models/nano-moe";
  const auto model = open_source(moe);
  test::GgufWriter gguf = test::gguf_of(moe);
  const HfConfig& c = model->config();
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    if (!c.is_sparse(layer)) continue;
    std::string bytes;
    for (int64_t e = 0; e < c.num_experts; ++e) {
      for (const char* which : {"gate", "up"}) {
        bytes += test::bytes_of(*model->find(
            fmt::format("model.layers.{}.mlp.experts.{}.{}_proj.weight", layer, e, which)));
      }
    }
    gguf.without_tensor(fmt::format("blk.{}.ffn_gate_exps.weight", layer));
    gguf.without_tensor(fmt::format("blk.{}.ffn_up_exps.weight", layer));
    gguf.tensor(fmt::format("blk.{}.ffn_gate_up_exps.weight", layer),
                {c.num_experts, 2 * c.moe_intermediate_size, c.hidden_size},
                test::kBF16,
                bytes);
  }
  const test::TempDir dir;
  expect_equal(moe, dir.write("fused.gguf", gguf.file()));
}

class GgufWeights : public testing::Test {
 protected:
  Weights load(const test::GgufWriter& changed) {
    const auto backend = make_reference_backend();
    test::GgufWriter gguf = changed;
    const auto source = open_source(dir_.write("m.gguf", gguf.file()));
    return load_weights(*source, *backend, WeightsDType::as_stored, 1, {});
  }
  test::GgufWriter nano_ = test::gguf_of(kRoot / "models/nano");
  test::TempDir dir_;
};

TEST_F(GgufWeights, RefusalsNameFileAndTensor) {
  const std::string norm = "blk.0.attn_norm.weight";
  test::GgufWriter q8 = nano_;
  q8.without_tensor(norm).tensor(norm, {256}, test::kQ8_0, std::string(8 * 34, '\0'));
  EXPECT_ERROR(load(q8),
               ErrorKind::unsupported,
               "m.gguf: tensor model.layers.0.input_layernorm.weight: expected plain numbers",
               "got Q8_0");
  test::GgufWriter none = nano_;
  EXPECT_ERROR(load(none.without_tensor(norm)),
               ErrorKind::not_found,
               "tensor model.layers.0.input_layernorm.weight: expected shape [256], got no such");
  test::GgufWriter wrong = nano_;
  wrong.without_tensor(norm).tensor(norm, {64}, test::kF32, std::string(256, '\0'));
  EXPECT_ERROR(load(wrong), ErrorKind::corrupt_file, "expected shape [256], got [64]");
  test::GgufWriter more = nano_;
  more.tensor("blk.8.attn_norm.weight", {256}, test::kF32, std::string(1024, '\0'));
  EXPECT_ERROR(
      load(more), ErrorKind::corrupt_file, "expected no layers beyond num_hidden_layers 8");
  // A scale that is no number.
  test::GgufWriter nan = nano_;
  std::string rows(256 * 8 * 34, '\0');
  rows[5001 * 34] = '\0';
  rows[34 * 900 + 1] = '\x7e';
  rows[34 * 900] = '\1';
  nan.without_tensor("blk.0.ffn_down.weight");
  nan.tensor("blk.0.ffn_down.weight",
             {256, 832},
             test::kQ8_0,
             rows.substr(0, 256 * 26 * 34) + std::string(256 * 18 * 34, '\0'));
  EXPECT_ERROR(load(nan),
               ErrorKind::corrupt_file,
               "down_proj.weight: rows",
               "expected finite numbers in Q8_0");
}

}  // namespace
}  // namespace qwen3
