// Importance matrices: what a tap adds up, and their files.
#include "quantize/importance.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "formats/gguf_file.h"
#include "formats/gguf_writer.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

ModelShape moe_shape() {
  ModelShape shape;
  shape.model_type = ModelType::qwen3_moe;
  shape.num_experts = 3;
  shape.layer_is_sparse = {false, true};
  return shape;
}

void show(ImportanceTap& tap, std::string_view name, std::vector<float> values, int64_t n_rows) {
  const auto n = static_cast<int64_t>(values.size());
  tap.tensor(name, Tensor::view(values, {n_rows, n / n_rows}));
}

TEST(ImportanceTapTest, AddsUpSquaresOfTheInputsOfEachMatrix) {
  ImportanceTap tap(moe_shape());
  for (const char* wanted : {"layers.1.mlp.experts",
                             "layers.1.mlp.experts.2.input",
                             "layers.1.mlp.experts.2.act",
                             "layers.0.input_layernorm",
                             "layers.0.post_attention_layernorm",
                             "layers.0.self_attn.mix",
                             "layers.0.mlp.act",
                             "norm"}) {
    EXPECT_TRUE(tap.wants(wanted)) << wanted;
  }
  for (const char* other :
       {"layers.1.post_attention_layernorm",  // the router's, which stays float32
        "layers.1.mlp.experts.2",
        "layers.1.mlp.experts.2.gate_proj",
        "layers.0.output",
        "logits",
        "layers.x.mlp.act"}) {
    EXPECT_FALSE(tap.wants(other)) << other;
  }
  show(tap, "layers.0.input_layernorm", {1, 2, 3, -4}, 2);
  show(tap, "layers.0.input_layernorm", {0, 1}, 1);
  show(tap, "layers.1.mlp.experts.2.input", {2, 5}, 1);
  show(tap, "norm", {7}, 1);
  const Importance result = tap.result();
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"}) {
    const Importance::Entry* entry = result.find(name);
    ASSERT_NE(entry, nullptr) << name;
    EXPECT_EQ(entry->sums, (std::vector<float>{10, 21}));
    EXPECT_EQ(entry->counts, (std::vector<float>{3}));
  }
  const Importance::Entry* experts = result.find("blk.1.ffn_up_exps.weight");
  ASSERT_NE(experts, nullptr);
  EXPECT_EQ(experts->counts, (std::vector<float>{0, 0, 1}));
  EXPECT_TRUE(experts->columns(0).empty());
  EXPECT_EQ(experts->columns(2)[1], 25);
  EXPECT_NE(result.find("blk.1.ffn_gate_exps.weight"), nullptr);
  EXPECT_NE(result.find("output.weight"), nullptr);
  EXPECT_EQ(result.find("blk.0.attn_output.weight"), nullptr);
}

TEST(ImportanceFile, IsReadAsItWasWritten) {
  const test::TempDir dir;
  Importance importance;
  importance.put("blk.0.attn_q.weight", {.n_columns = 3, .sums = {1, 2, 3}, .counts = {4}});
  importance.put("blk.1.ffn_up_exps.weight",
                 {.n_columns = 2, .sums = {1, 2, 0, 0}, .counts = {4, 0}});
  const fs::path path = dir.path() / "i.gguf";
  importance.save(path, {.text = "words.txt", .n_chunks = 2, .chunk_tokens = 512});
  const Importance read = Importance::load(path);
  EXPECT_EQ(read.find("blk.0.attn_q.weight")->sums, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(read.find("blk.1.ffn_up_exps.weight")->counts, (std::vector<float>{4, 0}));
  const GgufFile file(path);
  EXPECT_EQ(file.string("general.type", 20), "imatrix");
  EXPECT_EQ(file.integer("imatrix.chunk_size", {0, 1024}), 512);
}

TEST(ImportanceFile, OfGgufPy) {
  const Importance read = Importance::load(QWEN3_SOURCE_DIR "/tests/data/quantize/importance.gguf");
  const Importance::Entry* entry = read.find("blk.0.ffn_down.weight");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->n_columns, 832);
  EXPECT_EQ(entry->counts, (std::vector<float>{512}));
}

TEST(ImportanceFile, HostileOnesAreRefused) {
  const test::TempDir dir;
  const fs::path path = dir.path() / "i.gguf";
  const auto write = [&](std::string_view type,
                         std::vector<GgufTensorPlan> tensors,
                         const std::vector<float>& values) {
    GgufMetadata m;
    m.string("general.type", type);
    size_t at = 0;
    GgufWriter writer(path, m, tensors);
    for (const GgufTensorPlan& tensor : tensors) {
      const size_t n = static_cast<size_t>(tensor.n_bytes()) / sizeof(float);
      writer.write(std::as_bytes(std::span(values).subspan(at, n)));
      at += n;
    }
    writer.commit();
  };
  const GgufTensorPlan sums = {"a.in_sum2", WeightType::f32, {1, 2}};
  const GgufTensorPlan counts = {"a.counts", WeightType::f32, {1, 1}};
  const auto expect_refused = [&](const char* part) {
    EXPECT_ERROR(Importance::load(path), ErrorKind::corrupt_file, path.string(), part);
  };
  write("model", {sums, counts}, {1, 2, 3});
  expect_refused("imatrix");
  write("imatrix", {}, {});
  expect_refused("got none");
  write("imatrix", {sums}, {1, 2});
  expect_refused("a.counts");
  write("imatrix", {sums, {"a.counts", WeightType::f32, {1, 2}}}, {1, 2, 3, 4});
  expect_refused("one float32 count");
  for (const float bad :
       {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    write("imatrix", {sums, counts}, {1, bad, 3});
    expect_refused("numbers of 0 or more");
  }
  EXPECT_ERROR(Importance::load(dir.path() / "none"), ErrorKind::not_found, "none");
}

}  // namespace
}  // namespace qwen3
