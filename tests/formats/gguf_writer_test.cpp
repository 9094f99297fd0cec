// Files that are written are files that are read; and what stands in a file's place when writing fails.
#include "formats/gguf_writer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "formats/gguf_file.h"
#include "formats/gguf_names.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> counting_bytes(int64_t n) {
  std::vector<std::byte> bytes(static_cast<size_t>(n));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

TEST(GgufWriterTest, WhatIsWrittenIsRead) {
  const test::TempDir dir;
  const fs::path path = dir.path() / "a.gguf";
  GgufMetadata m;
  m.u32("an.u32", 4294967295);
  m.i32("an.i32", -5);
  m.f32("an.f32", 1e-6);
  m.boolean("a.bool", true);
  m.string("a.string", "Grüße");
  m.strings("some.strings", std::vector<std::string>{"", "a", "b c"});
  m.i32s("some.i32s", std::vector<int32_t>{1, -2, 3});
  m.strings("no.strings", {});
  const std::vector<GgufTensorPlan> plans = {{"odd", WeightType::f32, {5}},
                                             {"blocks", WeightType::q4_k, {3, 512}},
                                             {"stack", WeightType::q8_0, {2, 3, 32}}};
  GgufWriter writer(path, m, plans);
  for (const GgufTensorPlan& plan : plans) {
    const std::vector<std::byte> bytes = counting_bytes(plan.n_bytes());
    writer.write(std::span(bytes).first(bytes.size() / 3));
    EXPECT_FALSE(fs::exists(path));
    writer.write(std::span(bytes).subspan(bytes.size() / 3));
  }
  writer.commit();
  EXPECT_EQ(static_cast<int64_t>(fs::file_size(path)), writer.file_bytes());

  const GgufFile file(path);
  EXPECT_EQ(file.integer("an.u32", {0, 4294967295}), 4294967295);
  EXPECT_EQ(file.integer("an.i32", {-10, 10}), -5);
  EXPECT_EQ(file.real("an.f32"), 1e-6);
  EXPECT_EQ(file.boolean("a.bool"), true);
  EXPECT_EQ(file.string("a.string", 100), "Grüße");
  const GgufStrings strings = *file.strings("some.strings", 100);
  ASSERT_EQ(strings.size(), 3U);
  EXPECT_EQ(strings[2], "b c");
  EXPECT_EQ(*file.integers("some.i32s", {-10, 10}, 9), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(file.strings("no.strings", 100)->size(), 0U);
  ASSERT_EQ(file.tensors().size(), plans.size());
  for (size_t i = 0; i < plans.size(); ++i) {
    const GgufTensor& tensor = file.tensors()[i];
    EXPECT_EQ(tensor.name, plans[i].name);
    EXPECT_EQ(tensor.shape, plans[i].shape);
    EXPECT_EQ(tensor.type->weight_type, plans[i].type);
    EXPECT_EQ(tensor.begin % 32, 0);
    std::vector<std::byte> bytes(static_cast<size_t>(tensor.n_bytes));
    file.file().read(tensor.begin, bytes);
    EXPECT_EQ(bytes, counting_bytes(plans[i].n_bytes()));
  }
}

TEST(GgufWriterTest, AnUnfinishedFileLeavesWhatWasThere) {
  const test::TempDir dir;
  const fs::path path = dir.write("a.gguf", "before");
  {
    GgufWriter writer(path, {}, {{"t", WeightType::f32, {8}}});
    writer.write(counting_bytes(16));
  }
  EXPECT_EQ(read_text_file(path, 100), "before");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
}

TEST(GgufWriterTest, ADiskWithoutRoomIsSeenBeforeTheFirstByte) {
  const test::TempDir dir;
  const fs::path path = dir.path() / "a.gguf";
  const std::vector<GgufTensorPlan> huge = {{"t", WeightType::f32, {int64_t{1} << 24, 1 << 28}}};
  EXPECT_ERROR(GgufWriter(path, {}, huge),
               ErrorKind::io,
               path.string(),
               "free space on the disk",
               "name a file on another disk");
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(GgufWriterTest, AFullDiskIsSaid) {
  EXPECT_ERROR(
      {
        GgufWriter writer("/dev/full", {}, {{"t", WeightType::f32, {8}}});
        writer.write(counting_bytes(32));
        writer.commit();
      },
      ErrorKind::io,
      "/dev/full",
      "No space left on device");
  EXPECT_ERROR(GgufWriter("/nowhere/a.gguf", {}, {}), ErrorKind::io, "/nowhere/a.gguf");
}

TEST(GgufWriterTest, NamesAreThoseThatGgufCanHold) {
  const test::TempDir dir;
  EXPECT_ERROR(GgufWriter(dir.path() / "a", {}, {{std::string(64, 'n'), WeightType::f32, {1}}}),
               ErrorKind::invalid_argument,
               "at most 63 bytes");
}

TEST(GgufNames, GoBothWays) {
  for (const char* hf : {"model.embed_tokens.weight",
                         "model.norm.weight",
                         "lm_head.weight",
                         "model.layers.0.self_attn.q_proj.weight",
                         "model.layers.12.self_attn.k_proj.bias",
                         "model.layers.7.mlp.gate.weight",
                         "model.layers.7.mlp.experts.down_proj.weight"}) {
    const auto gguf = gguf_tensor_name(hf);
    ASSERT_TRUE(gguf.has_value()) << hf;
    EXPECT_EQ(hf_tensor_name(*gguf), hf);
  }
  EXPECT_EQ(gguf_tensor_name("model.layers.7.mlp.gate.weight"), "blk.7.ffn_gate_inp.weight");
  for (const char* none : {"", "model.layers.x.mlp.gate.weight", "model.layers.1.mlp.gate.scale"}) {
    EXPECT_EQ(gguf_tensor_name(none), std::nullopt) << none;
  }
}

}  // namespace
}  // namespace qwen3
