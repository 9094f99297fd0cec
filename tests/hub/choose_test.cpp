#include "hub/choose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace qwen3::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Paths = std::vector<std::string>;

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// What Python's fnmatch says.
TEST(Pattern, AsFnmatch) {
  for (const auto& [pattern, path] : std::vector<std::pair<const char*, const char*>>{
           {"*.json", "config.json"},
           {"*.json", "a/config.json"},
           {"*", ""},
           {"a/", "a/b/c"},
           {"?.json", "a.json"},
           {"[a-c]x", "bx"},
           {"[!a-c]x", "dx"},
           {"[]]", "]"},
           {"[a", "[a"},
           {"*a*b*c", "xxaxxbxxc"},
           {"model-0000[12]-*", "model-00002-of-00003.safetensors"}}) {
    EXPECT_TRUE(matches(pattern, path)) << pattern << " " << path;
  }
  for (const auto& [pattern, path] :
       std::vector<std::pair<const char*, const char*>>{{"", "a"},
                                                        {"*.json", "config.jsonl"},
                                                        {"a/", "a"},
                                                        {"a/", "b/a/"},
                                                        {"?", ""},
                                                        {"[a-c]x", "dx"},
                                                        {"[!a-c]x", "bx"},
                                                        {"*a*b", "ba"},
                                                        {"CONFIG.json", "config.json"}}) {
    EXPECT_FALSE(matches(pattern, path)) << pattern << " " << path;
  }
}

TEST(Pattern, ManyStarsAreNotSlow) {
  std::string pattern, path(1000, 'a');
  for (int i = 0; i < 100; ++i) pattern += "*a";
  EXPECT_FALSE(matches(pattern + "b", path));
}

TEST(Choose, CheckpointWithoutWhatItIsTwice) {
  const Paths paths = {"README.md",
                       "config.json",
                       "consolidated.safetensors",
                       "model.safetensors",
                       "onnx/a.json",
                       "original/model.safetensors",
                       "pytorch_model.bin",
                       "tokenizer.json",
                       "x.gguf"};
  EXPECT_THAT(choose_files(paths, {}, "a/b"),
              ElementsAre("README.md", "config.json", "model.safetensors", "tokenizer.json"));
  const Paths other = {"config.json", "gptq-4bit.safetensors"};
  EXPECT_THAT(choose_files(other, {}, "a/b"), ElementsAre("config.json", "gptq-4bit.safetensors"));
  EXPECT_THAT(
      choose_files(paths, {.gguf = {}, .include = {}, .exclude = {"*.md", "model.*"}}, "a/b"),
      ElementsAre("config.json", "tokenizer.json"));
}

TEST(Choose, OneQuantisation) {
  const Paths paths = {"M-IQ4_XS.gguf",
                       "M-Q4_K_M.gguf",
                       "M-UD-Q4_K_M.gguf",
                       "M.Q8_0.gguf",
                       "Q6_K/M-Q6_K-00001-of-00002.gguf",
                       "Q6_K/M-Q6_K-00002-of-00002.gguf"};
  const auto chosen = [&](const char* word) {
    return choose_files(paths, {.gguf = word, .include = {}, .exclude = {}}, "a/b");
  };
  EXPECT_THAT(chosen("iq4_xs"), ElementsAre("M-IQ4_XS.gguf"));
  EXPECT_THAT(chosen("Q8_0"), ElementsAre("M.Q8_0.gguf"));
  EXPECT_THAT(chosen("UD-Q4_K_M"), ElementsAre("M-UD-Q4_K_M.gguf"));
  EXPECT_THAT(chosen("M-Q4_K_M.gguf"), ElementsAre("M-Q4_K_M.gguf"));
  EXPECT_THAT(chosen("q6_k"), ElementsAre(paths[4], paths[5]));
  EXPECT_THAT(chosen("M-Q6_K-00002-of-00002.gguf"), ElementsAre(paths[4], paths[5]));
  // Two end in it: nothing is guessed.
  EXPECT_THAT(error_of([&] { chosen("Q4_K_M"); }),
              HasSubstr("got 2: M-Q4_K_M.gguf, M-UD-Q4_K_M.gguf; name one, as a/b:M-Q4_K_M.gguf"));
  EXPECT_THAT(error_of([&] { chosen(""); }), HasSubstr("expected one GGUF model; got 2"));
  EXPECT_THAT(error_of([&] { chosen("Q4"); }), HasSubstr("got others: IQ4_XS, Q4_K_M"));
  EXPECT_THAT(error_of([&] { chosen("K_M"); }), HasSubstr("got 2"));
}

TEST(Choose, TheOnlyOneNeedsNoName) {
  const Paths paths = {"config.json", "M-f16.gguf", "mmproj-M.gguf"};
  EXPECT_THAT(choose_files(paths, {}, "a/b"), ElementsAre("M-f16.gguf"));
  const Paths none = {"config.json", "model.onnx"};
  EXPECT_THAT(error_of([&] { choose_files(none, {}, "a/b"); }), HasSubstr("got neither"));
}

}  // namespace
}  // namespace qwen3::hub
