#include "base/embedded_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string_view>

#include "base/error.h"
#include "base/input_file.h"
#include "base/sha256.h"

namespace qwen3 {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kText = "{\"a\": 1}";

class EmbeddedFiles : public ::testing::Test {
 protected:
  void SetUp() override { set_embedded_files(files_); }
  void TearDown() override { set_embedded_files({}); }

  std::string hash_ = sha256_hex(std::as_bytes(std::span(kText)));
  std::array<EmbeddedFile, 2> files_ = {
      EmbeddedFile{"embedded:toy/config.json", std::as_bytes(std::span(kText)), hash_},
      EmbeddedFile{"embedded:toy/damaged", std::as_bytes(std::span(kText)), "00"}};
};

TEST_F(EmbeddedFiles, OpenLikeFiles) {
  const InputFile file("embedded:toy/config.json");
  EXPECT_EQ(file.read_all(100), kText);
  EXPECT_EQ(file.sha256(), hash_);
  EXPECT_EQ(file.name(), "embedded:toy/config.json");
  file.check_unchanged();
  std::array<std::byte, 3> part{};
  file.read(1, part);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(part.data()), part.size()), "\"a\"");
  EXPECT_EQ(read_text_file("embedded:toy/config.json", 100), kText);
}

TEST_F(EmbeddedFiles, Exist) {
  EXPECT_TRUE(file_exists("embedded:toy/config.json"));
  EXPECT_FALSE(file_exists("embedded:toy/other"));
  EXPECT_TRUE(folder_exists("embedded:toy"));
  EXPECT_FALSE(folder_exists("embedded:to"));
  EXPECT_TRUE(folder_exists("/"));
}

TEST_F(EmbeddedFiles, DamageIsNoticed) {
  try {
    InputFile file("embedded:toy/damaged");
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
    EXPECT_THAT(error.what(), HasSubstr("embedded:toy/damaged"));
    EXPECT_THAT(error.what(), HasSubstr("expected SHA-256 00"));
  }
}

TEST_F(EmbeddedFiles, AnAbsentOneIsAnAbsentFile) {
  EXPECT_THROW(InputFile("embedded:toy/other"), Error);
}

}  // namespace
}  // namespace qwen3
