#include "server/api/embedding_modules.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3::server {
namespace {

class EmbeddingModules : public ::testing::Test {
 protected:
  EmbeddingModules() { std::filesystem::create_directory(dir_.path() / "1_Pooling"); }
  void modules(const std::vector<std::string>& classes, const std::string& pooling = "1_Pooling") {
    std::string text;
    for (const std::string& name : classes) {
      text += (text.empty() ? "[" : ",") +
              (R"({"idx":0,"name":"0","path":")" + (name == "Pooling" ? pooling : "") +
               R"(","type":"sentence_transformers.models.)" + name + "\"}");
    }
    dir_.write("modules.json", text + "]");
  }
  void pooling(const std::string& text) { dir_.write("1_Pooling/config.json", text); }
  void check() const { check_embedding_modules(dir_.path()); }

  test::TempDir dir_;
};

TEST_F(EmbeddingModules, TheOfficialOnesAndNoneAreFine) {
  EXPECT_NO_THROW(check());
  modules({"Transformer", "Pooling", "Normalize"});
  pooling(R"({"word_embedding_dimension":64,"pooling_mode_cls_token":false,
              "pooling_mode_mean_tokens":false,"pooling_mode_lasttoken":true,"include_prompt":true})");
  EXPECT_NO_THROW(check());
  pooling(R"({"embedding_dimension":64,"pooling_mode":"lasttoken"})");
  EXPECT_NO_THROW(check());
}

TEST_F(EmbeddingModules, OthersAreNamed) {
  pooling(R"({"pooling_mode_lasttoken":true})");
  modules({"Transformer", "Pooling", "Dense", "Normalize"});
  EXPECT_ERROR(check(),
               ErrorKind::unsupported,
               "modules.json: modules Transformer, Pooling, Dense, Normalize are not supported");
  modules({"Transformer", "Pooling"});
  EXPECT_ERROR(check(), ErrorKind::unsupported, "modules Transformer, Pooling are not supported");
  modules({"Transformer", "Pooling", "Normalize"});
  for (const char* mode : {R"("pooling_mode_mean_tokens":true)",
                           R"("pooling_mode_cls_token":true)",
                           R"("pooling_mode":"mean")",
                           R"("pooling_mode_lasttoken":true,"pooling_mode_mean_tokens":true)"}) {
    pooling(std::string("{") + mode + "}");
    EXPECT_ERROR(
        check(), ErrorKind::unsupported, "1_Pooling/config.json: pooling_mode", "lasttoken");
  }
  pooling(R"({"pooling_mode_lasttoken":false})");
  EXPECT_ERROR(
      check(), ErrorKind::unsupported, "1_Pooling/config.json: expected pooling_mode_last");
}

TEST_F(EmbeddingModules, WhatIsNoListOfModulesIsCorrupt) {
  for (const char* text : {"{}", "[1]", R"([{"type":3}])", "[", R"([{"type":"Pooling"}])"}) {
    dir_.write("modules.json", text);
    EXPECT_ERROR(check(), ErrorKind::corrupt_file, "modules.json: ");
  }
  for (const char* path : {"", "..", "../x", "/etc", "a\\u0000b"}) {
    modules({"Transformer", "Pooling", "Normalize"}, path);
    EXPECT_ERROR(
        check(), ErrorKind::corrupt_file, "modules.json: path: expected the name of a folder");
  }
  modules({"Transformer", "Pooling", "Normalize"}, "2_Pooling");
  EXPECT_ERROR(check(), ErrorKind::not_found, "2_Pooling/config.json");
}

}  // namespace
}  // namespace qwen3::server
