// qwen3 verify, run as a user would run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/run_program.h"
#include "support/raw_safetensors.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

ProgramResult verify(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"verify", "--quiet"});
  return run_qwen3(arguments);
}

const std::string kIds =
    "3,14,15,9,26,5,35,8,9,7,9,3,23,8,46,26,43,38,32,7,9,50,28,8,41,9,7,16,9,39,9,37,5,10";
const int kTokens = 34;

TEST(VerifyCommand, SaysItInAFewLines) {
  for (const char* model : {"nano", "nano-moe"}) {
    const ProgramResult result = verify({"-m", model});
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    EXPECT_EQ(result.err, "");
    EXPECT_LE(lines_of(result.out).size(), 25u);
    for (const char* part :
         {"judged     cpu", "against    reference", "verdict    within bounds"}) {
      EXPECT_THAT(result.out, HasSubstr(part));
    }
  }
}

TEST(VerifyCommand, OneObjectOfJson) {
  const ProgramResult result =
      verify({"-m", golden_model("moe"), "--ids", kIds, "--json", "--cpu-isa", "baseline"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_EQ(lines_of(result.out).size(), 1u);
  const Json json = parse_json(result.out, "out");
  EXPECT_EQ(json.at("verdict"), "within");
  EXPECT_EQ(json.at("n_tokens"), kTokens);
  EXPECT_TRUE(json.at("first_outside").is_null());
  EXPECT_GT(json.at("tensors").size(), 30u);
  EXPECT_EQ(json.at("tensors").at(0).at("name"), "rotary_cos");
}

TEST(VerifyCommand, AChangedWeightIsNamedAgainstTheTapsOfTheGoodOne) {
  const TempDir folder;
  const std::string taps = folder.path() / "taps";
  ASSERT_EQ(run_qwen3({"logits",
                       "-m",
                       golden_model("dense"),
                       "--ids",
                       kIds,
                       "--taps",
                       taps,
                       "--backend",
                       "reference",
                       "--quiet"})
                .exit_code,
            0);
  EXPECT_EQ(verify({"-m", golden_model("dense"), "--ids", kIds, "--against", taps}).exit_code, 0);
  const fs::path bad = folder.path() / "bad";
  fs::copy(golden_model("dense"), bad);
  RawTensors tensors = read_raw(bad / "model.safetensors");
  std::string& bytes = tensors.at("model.layers.1.mlp.up_proj.weight").bytes;
  bytes[3] = static_cast<char>(bytes[3] ^ 0x80);  // the sign of one number
  bytes[2] = static_cast<char>(bytes[2] | 0x40);
  write_raw(bad / "model.safetensors", tensors);
  const ProgramResult result = verify({"-m", bad, "--ids", kIds, "--against", taps});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_LE(lines_of(result.out).size(), 25u);
  EXPECT_THAT(result.out, HasSubstr("OUTSIDE BOUNDS"));
  EXPECT_THAT(result.out, HasSubstr("first      layers.1.mlp.up_proj: error "));
  EXPECT_THAT(result.out, HasSubstr("column 0"));
  EXPECT_THAT(result.out, HasSubstr("what now   run without --against"));
  // Without them nothing is wrong: the weights are computed as they are.
  EXPECT_EQ(verify({"-m", bad, "--ids", kIds}).exit_code, 0);
}

TEST(VerifyCommand, ATextOfOnesOwn) {
  const TempDir folder;
  const std::string file =
      folder.write("text", "One two three four five six seven eight nine ten.");
  const ProgramResult result = verify({"-m", "nano", "--text", file, "--tokens", "5"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("text       5 tokens, " + file + " (the first of "));
  const ProgramResult bad = verify({"-m", "nano", "--text", folder.write("bad", "\xff\xfe ab")});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, HasSubstr("expected UTF-8 text"));
}

TEST(VerifyCommand, RefusesInOneLine) {
  const TempDir folder;
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string words;
  };
  std::string many = "1";
  for (int i = 0; i < 4096; ++i) many += ",1";
  const std::vector<Case> cases{
      {{"-m", "nano", "--text", "a", "--ids", "1,2"}, 2, "expected one of --ids and --text"},
      {{"-m", "nano", "--tokens", "1"}, 2, "--tokens"},
      {{"-m", "nano", "--backend", "metal"}, 2, "--backend"},
      {{"-m", "nano", "--ids", "1,x"}, 2, "--ids"},
      {{"-m", "nano", "--ids", "1,99999"}, 2, "99999"},
      {{"-m", "nano", "--ids", many}, 1, "at most 4096 token ids"},
      {{"-m", golden_model("dense")}, 1, "or token ids: qwen3 verify --ids"},
      {{"-m", folder.path() / "none"}, 1, "none"},
      {{"-m", "nano", "--text", folder.path() / "none"}, 1, "none"},
      {{"-m", "nano", "--against", folder.path() / "none"}, 1, "no such directory"},
      {{"-m", "nano", "--against", folder.path()}, 1, "expected taps of this model"}};
  for (const Case& refused : cases) {
    const ProgramResult result = verify(refused.arguments);
    EXPECT_EQ(result.exit_code, refused.exit_code) << refused.words << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
    EXPECT_THAT(result.err, HasSubstr(refused.words));
  }
}

}  // namespace
}  // namespace qwen3::test
