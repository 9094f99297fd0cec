// Checkpoints that differ in one place, and copies that do not.
#include "formats/fingerprint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/input_file.h"
#include "formats/open_source.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

namespace fs = std::filesystem;
const fs::path kModel = fs::path(QWEN3_SOURCE_DIR) / "tests/data/models/dense";

class Fingerprint : public ::testing::Test {
 protected:
  fs::path copy() {
    const fs::path to = folder_.path() / ("copy" + std::to_string(n_copies_++));
    fs::copy(kModel, to);
    return to;
  }
  static std::string of(const fs::path& path) { return weights_fingerprint(*open_source(path)); }
  static void change(const fs::path& file, int64_t at) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(at);
    const int byte = stream.get();
    stream.seekp(at);
    stream.put(static_cast<char>(byte ^ 1));
    ASSERT_TRUE(stream.good());
  }

 private:
  TempDir folder_;
  int n_copies_ = 0;
};

TEST_F(Fingerprint, OfACopyIsTheSame) {
  EXPECT_EQ(of(copy()), of(kModel));
  EXPECT_EQ(config_fingerprint(copy()), config_fingerprint(kModel));
  EXPECT_EQ(of(kModel).size(), 64u);
}

TEST_F(Fingerprint, SeesAConfigThatDiffers) {
  const fs::path other = copy();
  std::ofstream(other / "config.json", std::ios::app) << "\n";
  EXPECT_NE(config_fingerprint(other), config_fingerprint(kModel));
  EXPECT_EQ(of(other), of(kModel));
}

// Its small tensors are read whole.
TEST_F(Fingerprint, SeesANumberThatDiffers) {
  const auto source = open_source(kModel);
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight"}) {
    const SourceTensor* tensor = source->find(name);
    ASSERT_NE(tensor, nullptr) << name;
    const fs::path other = copy();
    change(other / "model.safetensors", tensor->begin + tensor->n_bytes / 2);
    EXPECT_NE(of(other), of(kModel)) << name;
  }
}

}  // namespace
}  // namespace qwen3::test
