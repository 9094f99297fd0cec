// Every command on a GGUF file says what it says on the directory that the file was made from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/run_program.h"
#include "eval/run/engine_source.h"
#include "support/gguf_model.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class CommandsOnGguf : public testing::Test {
 protected:
  CommandsOnGguf()
      : path_(dir_.write("nano.gguf", gguf_of(QWEN3_SOURCE_DIR "/models/nano").file()).string()) {}

  // stdout of the command on the GGUF file, which is that of the same on the built-in model.
  std::string expect_same(std::vector<std::string> command, std::string_view input = {}) const {
    command.insert(command.end(), {"--model", "nano"});
    const ProgramResult directory = run_qwen3(command, input);
    command.back() = path_;
    const ProgramResult gguf = run_qwen3(command, input);
    EXPECT_EQ(directory.exit_code, 0) << directory.err;
    EXPECT_EQ(gguf.exit_code, 0) << gguf.err;
    EXPECT_EQ(gguf.out, directory.out) << command.front();
    EXPECT_NE(gguf.out, "") << command.front();
    return gguf.out;
  }

  TempDir dir_;
  std::string path_;
};

TEST_F(CommandsOnGguf, AnswersAndPrompts) {
  expect_same({"chat", "2+2?", "--max-tokens", "30", "--temperature", "0", "--quiet"});
  expect_same({"chat", "2+2?", "--max-tokens", "30", "--seed", "7", "--quiet"});
  expect_same({"generate", "--prompt", "Once", "--max-tokens", "20", "--temperature", "0"});
  expect_same({"generate", "--ids", "5,6,7", "--max-tokens", "20", "--temperature", "0"});
  expect_same({"tokenize"}, "{\"text\":\"e\xCC\x81 <|im_start|>1<|fim_pad|>\\n\"}\n");
  expect_same({"render"},
              R"({"messages":[{"role":"user","content":"hi"}]})"
              "\n");
}

TEST_F(CommandsOnGguf, Numbers) {
  expect_same({"logits", "--ids", "5,6,7", "--labels", "6,7,8", "--dtype", "float32"});
  expect_same({"trace", "--ids", "5,6,7", "--quiet"});
  const fs::path text = dir_.write("text.txt", "Some words to be measured, and some more.\n");
  expect_same({"eval", "perplexity", "--file", text.string(), "--quiet"});
}

TEST_F(CommandsOnGguf, Inspect) {
  const ProgramResult result = run_qwen3({"inspect", "--model", path_, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "inspect");
  EXPECT_EQ(json["config"]["num_hidden_layers"], 8);
  EXPECT_EQ(json["config"]["eos_token_id"], Json({2536, 2534}));
  EXPECT_EQ(json["checkpoint"]["tensors"].size(), 90U);
  EXPECT_EQ(json["checkpoint"]["files"], 1);
  EXPECT_EQ(json["checkpoint"]["dtypes"], Json({{"BF16", 57}, {"F32", 33}}));
  EXPECT_EQ(json["fits"], true);
  const std::string split = QWEN3_SOURCE_DIR "/tests/data/gguf/moe-00001-of-00003.gguf";
  const ProgramResult mixed = run_qwen3({"inspect", "--model", split});
  EXPECT_EQ(mixed.exit_code, 0) << mixed.err;
  EXPECT_THAT(mixed.out, HasSubstr("27 tensors in 3 file(s)"));
  EXPECT_THAT(mixed.out, HasSubstr("2 MXFP4"));
}

TEST_F(CommandsOnGguf, Bench) {
  const std::vector<std::string> small = {"--prompt-tokens",
                                          "8",
                                          "--decode-tokens",
                                          "1",
                                          "--context",
                                          "0",
                                          "--batch",
                                          "1",
                                          "--repeat",
                                          "1",
                                          "--quiet",
                                          "--json"};
  for (const char* option : {"--model", "--random-weights"}) {
    std::vector<std::string> command = {"bench", option, path_};
    command.insert(command.end(), small.begin(), small.end());
    const ProgramResult result = run_qwen3(command);
    EXPECT_EQ(result.exit_code, 0) << option << ": " << result.err;
  }
}

TEST_F(CommandsOnGguf, EvalNamesTheModelAndItsFile) {
  dir_.write("data.jsonl",
             R"({"prompt":"1+1?","answer":"2","task_id":"a"})"
             "\n");
  const fs::path config =
      dir_.write("eval.yaml",
                 "input_file: data.jsonl\noutput_file: out.jsonl\nmodel_name: x\n"
                 "n_samples: 1\nmax_tokens: 4\ntemperature: 0.0\ntop_k: 1\n"
                 "task_name: exact_match\neval_input_path: out.jsonl\n");
  const ProgramResult result = run_shell("cd '" + dir_.path().string() +
                                         "' && \"$QWEN3\" eval generate --config eval.yaml -m "
                                         "nano.gguf --quiet");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json manifest =
      parse_json(read_text_file(dir_.path() / "out.jsonl.manifest.json", 1 << 20), "manifest");
  const std::string text = dump_json(manifest);
  EXPECT_THAT(text, HasSubstr("\"nano\""));
  EXPECT_THAT(text, HasSubstr(eval::model_fingerprint(path_)));
}

// One byte more or less anywhere in a part is another model.
TEST(GgufFingerprint, CoversAllParts) {
  const TempDir dir;
  for (const char* part :
       {"moe-00001-of-00003.gguf", "moe-00002-of-00003.gguf", "moe-00003-of-00003.gguf"}) {
    fs::copy_file(fs::path(QWEN3_SOURCE_DIR) / "tests/data/gguf" / part, dir.path() / part);
  }
  const std::string before = eval::model_fingerprint(dir.path() / "moe-00001-of-00003.gguf");
  EXPECT_EQ(eval::model_fingerprint(dir.path()), before);
  dir.write("note.txt", "no part of the model");
  EXPECT_EQ(eval::model_fingerprint(dir.path()), before);
  std::string last = read_text_file(dir.path() / "moe-00003-of-00003.gguf", 1 << 20);
  last.back() = static_cast<char>(last.back() + 1);
  dir.write("moe-00003-of-00003.gguf", last);
  EXPECT_NE(eval::model_fingerprint(dir.path()), before);
}

}  // namespace
}  // namespace qwen3::test
