#include "formats/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <string>
#include <vector>

#include "formats/official_configs.h"
#include "formats/safetensors.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;
constexpr auto kCorrupt = ErrorKind::corrupt_file;
constexpr auto kNotFound = ErrorKind::not_found;

const std::vector<float> kValues = {1, 2, 3, 4};

SafetensorsTensor floats(std::string name, int64_t n = 4) {
  return {std::move(name),
          DType::f32,
          {n},
          std::as_bytes(std::span(kValues).first(static_cast<size_t>(n)))};
}

std::string bytes_of(const SourceTensor& tensor) {
  std::string bytes(static_cast<size_t>(tensor.n_bytes), '\0');
  tensor.file->read(tensor.begin, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

// A directory with a valid config.json.
class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    dir_.write("config.json", official_config(official_models()[0], Spelling::transformers_4));
  }
  void write_weights(const std::string& file, std::vector<SafetensorsTensor> tensors) {
    write_safetensors((dir_.path() / file).string(), tensors);
  }
  void write_index(const std::string& weight_map) {
    dir_.write("model.safetensors.index.json",
               "{\"metadata\":{\"total_size\":16},\"weight_map\":" + weight_map + "}");
  }
  Checkpoint open() const { return Checkpoint::open(dir_.path()); }

  test::TempDir dir_;
};

TEST_F(CheckpointTest, OneFile) {
  write_weights("model.safetensors", {floats("model.norm.weight"), floats("lm_head.weight", 2)});
  const Checkpoint checkpoint = open();
  EXPECT_EQ(checkpoint.name(), dir_.path().string());
  EXPECT_EQ(checkpoint.config().hidden_size, 1024);
  EXPECT_EQ(checkpoint.generation_config().top_k, std::nullopt);
  EXPECT_EQ(checkpoint.n_tensors(), 2u);
  EXPECT_EQ(checkpoint.n_bytes(), 24);
  EXPECT_EQ(checkpoint.names(), (std::vector<std::string>{"lm_head.weight", "model.norm.weight"}));
  const SourceTensor* norm = checkpoint.find("model.norm.weight");
  ASSERT_NE(norm, nullptr);
  EXPECT_EQ(norm->type, WeightType::f32);
  EXPECT_EQ(norm->file_dtype, "F32");
  EXPECT_EQ(norm->shape, std::vector<int64_t>{4});
  EXPECT_EQ(norm->file, checkpoint.files().data());
  EXPECT_EQ(bytes_of(*norm), std::string(reinterpret_cast<const char*>(kValues.data()), 16));
  EXPECT_EQ(checkpoint.find("model.embed_tokens.weight"), nullptr);
}

TEST_F(CheckpointTest, MovingKeepsTensorsValid) {
  write_weights("model.safetensors", {floats("a")});
  Checkpoint first = open();
  const Checkpoint second = std::move(first);
  EXPECT_EQ(second.find("a")->file->name(), (dir_.path() / "model.safetensors").string());
  EXPECT_EQ(bytes_of(*second.find("a")),
            std::string(reinterpret_cast<const char*>(kValues.data()), 16));
}

TEST_F(CheckpointTest, TheModelPrefixIsOptional) {
  write_weights("model.safetensors", {floats("norm.weight"), floats("model.lm_head.weight", 2)});
  const Checkpoint checkpoint = open();
  EXPECT_NE(checkpoint.find("model.norm.weight"), nullptr);
  EXPECT_NE(checkpoint.find("norm.weight"), nullptr);
  EXPECT_NE(checkpoint.find("lm_head.weight"), nullptr);
  EXPECT_EQ(checkpoint.find("model.model.norm.weight"), nullptr);
}

TEST_F(CheckpointTest, GenerationConfig) {
  write_weights("model.safetensors", {});
  dir_.write("generation_config.json", R"({"temperature":0.6})");
  EXPECT_EQ(open().generation_config().temperature, 0.6);
  dir_.write("generation_config.json", R"({"temperature":-1})");
  EXPECT_ERROR(open(), kCorrupt, "generation_config.json: temperature");
}

TEST_F(CheckpointTest, Shards) {
  write_weights("model-00001-of-00002.safetensors", {floats("a"), floats("unlisted")});
  write_weights("model-00002-of-00002.safetensors", {floats("b", 3)});
  write_index(R"({"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"})");
  dir_.write("model.safetensors", "not read when there is an index");
  const Checkpoint checkpoint = open();
  EXPECT_EQ(checkpoint.n_tensors(), 2u);
  EXPECT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(checkpoint.find("b")->shape, std::vector<int64_t>{3});
  EXPECT_EQ(checkpoint.find("b")->file, &checkpoint.files()[1]);
  EXPECT_EQ(checkpoint.find("unlisted"), nullptr);
}

TEST_F(CheckpointTest, WhatIsMissingIsNamed) {
  EXPECT_ERROR(Checkpoint::open(dir_.path() / "none"), kNotFound, "none", "directory");
  EXPECT_ERROR(Checkpoint::open(dir_.path() / "config.json"), kNotFound, "directory");
  EXPECT_ERROR(open(), kNotFound, "model.safetensors", "download complete?");
  write_index(R"({"a":"shard.safetensors"})");
  EXPECT_ERROR(open(), kNotFound, "shard.safetensors: shard 1 of 1 is missing");
  write_weights("shard.safetensors", {floats("b")});
  EXPECT_ERROR(open(), kCorrupt, "shard.safetensors: expected tensor a as the index says");
  fs::remove(dir_.path() / "config.json");
  EXPECT_ERROR(open(), kNotFound, "config.json: cannot open");
}

// Tools that untie a model and tie it again leave the head in the index.
TEST_F(CheckpointTest, ATiedModelNeedsNoHeadThatItsIndexLists) {
  write_weights("shard.safetensors", {floats("a")});
  write_index(R"({"a":"shard.safetensors","lm_head.weight":"shard.safetensors"})");
  EXPECT_EQ(open().names(), std::vector<std::string>{"a"});
  dir_.write("config.json", official_config(official_models()[3], Spelling::transformers_4));
  ASSERT_FALSE(official_models()[3].tied);
  EXPECT_ERROR(open(), kCorrupt, "expected tensor lm_head.weight as the index says");
}

TEST_F(CheckpointTest, BrokenFilesAreNamed) {
  dir_.write("model.safetensors", "short");
  EXPECT_ERROR(open(), kCorrupt, "model.safetensors: expected a safetensors file, got 5 bytes");
  dir_.write("model.safetensors", "");
  EXPECT_ERROR(open(), kCorrupt, "got 0 bytes");
  for (const char* bad : {"",
                          "[]",
                          "{}",
                          "{\"weight_map\":[]}",
                          "{\"weight_map\":{}}",
                          "{\"weight_map\":{\"a\":1}}",
                          "{\"weight_map\":{\"a\":\"s\",\"a\":\"s\"}}"}) {
    dir_.write("model.safetensors.index.json", bad);
    EXPECT_ERROR(open(), kCorrupt, "model.safetensors.index.json: ");
  }
}

// T-S3: names in an index that would lead out of the directory, or to something that is no file.
TEST_F(CheckpointTest, HostileShardNames) {
  const test::TempDir outside;
  const std::vector<SafetensorsTensor> tensors = {floats("a")};
  write_safetensors((outside.path() / "x.safetensors").string(), tensors);
  const std::string relative = "../" + outside.path().filename().string() + "/x.safetensors";
  const std::string absolute = (outside.path() / "x.safetensors").string();
  fs::create_directory(dir_.path() / "sub");
  write_weights("sub/x.safetensors", tensors);
  for (const std::string& name : {relative,
                                  absolute,
                                  std::string("/etc/passwd"),
                                  std::string("a/../../x"),
                                  std::string("sub/x.safetensors"),
                                  std::string("./x"),
                                  std::string("a\\\\x"),
                                  std::string("a\\u0000b"),
                                  std::string("."),
                                  std::string(".."),
                                  std::string(""),
                                  std::string(65536, 'x')}) {
    write_index("{\"a\":\"" + name + "\"}");
    EXPECT_ERROR(open(), kCorrupt, "index.json: weight_map: expected plain file names");
  }
  ASSERT_EQ(::mkfifo((dir_.path() / "fifo").c_str(), 0600), 0);
  for (const char* name : {"fifo", "sub"}) {
    write_index(std::string("{\"a\":\"") + name + "\"}");
    EXPECT_ERROR(open(), kNotFound, name, "expected a regular file");
  }
  fs::create_symlink("/dev/zero", dir_.path() / "device");
  write_index(R"({"a":"device"})");
  EXPECT_ERROR(open(), kNotFound, "device: expected a regular file");
}

// The hub's cache keeps blobs elsewhere and links to them: the operator's own links are followed.
TEST_F(CheckpointTest, SymlinksOfTheOperatorAreFollowed) {
  const test::TempDir blobs;
  const std::vector<SafetensorsTensor> tensors = {floats("a")};
  write_safetensors((blobs.path() / "blob").string(), tensors);
  fs::create_symlink(blobs.path() / "blob", dir_.path() / "model-1.safetensors");
  write_index(R"({"a":"model-1.safetensors"})");
  EXPECT_NE(open().find("a"), nullptr);
}

TEST_F(CheckpointTest, OtherDTypesAreReportedWhenAskedFor) {
  const std::string header =
      R"({"q":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},"w":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]}})";
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  dir_.write("model.safetensors", file + header + "1234");
  const Checkpoint checkpoint = open();
  EXPECT_EQ(checkpoint.find("w")->type, WeightType::bf16);
  EXPECT_ERROR(
      checkpoint.find("q"), ErrorKind::unsupported, "model.safetensors: tensor q", "got F8_E4M3");
}

}  // namespace
}  // namespace qwen3
