// qwen3 quantize as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/run_program.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class Quantize : public testing::Test {
 protected:
  ProgramResult run(std::vector<std::string> options) const {
    options.insert(options.begin(), {"quantize", "-o", out_.string()});
    return run_qwen3(options);
  }

  TempDir dir_;
  fs::path out_ = dir_.path() / "nano.gguf";
};

std::string answer(const std::string& model) {
  return run_qwen3({"chat",
                    "What is 3 + 4?",
                    "-m",
                    model,
                    "--thinking",
                    "off",
                    "--temperature",
                    "0",
                    "--max-tokens",
                    "20",
                    "--quiet"})
      .out;
}

TEST_F(Quantize, NanoStillAdds) {
  ASSERT_THAT(answer("nano"), HasSubstr("3 + 4 = 7"));
  for (const char* type : {"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0"}) {
    const ProgramResult result = run({"--type", type, "--quiet"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    EXPECT_THAT(result.out, HasSubstr("bits per weight"));
    const std::string said = answer(out_.string());
    if (std::string(type) == "Q8_0") {
      EXPECT_THAT(said, HasSubstr("3 + 4 = 7"));
    }
    EXPECT_NE(said, "") << type;
  }
}

TEST_F(Quantize, CalibratesAndJudges) {
  const std::string text = dir_.write("t.txt", "3 + 4 = 7\n4 + 5 = 9\nWhat is 12 + 7?\n").string();
  const std::string importance = (dir_.path() / "importance.gguf").string();
  const ProgramResult result = run({"--calibrate",
                                    text,
                                    "--save-importance",
                                    importance,
                                    "--judge",
                                    text,
                                    "--tensors",
                                    "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "out");
  EXPECT_EQ(json["type"], "Q4_K_M");
  EXPECT_EQ(json["bytes"], fs::file_size(out_));
  EXPECT_EQ(json["tensors"].size(), 90U);
  EXPECT_GT(json["judge"]["kl"], 0);
  for (const Json& tensor : json["tensors"]) {
    EXPECT_EQ(tensor["calibrated"], tensor["type"] != "float32") << tensor["name"];
  }
  const std::string first = (dir_.path() / "first.gguf").string();
  fs::rename(out_, first);
  const ProgramResult again = run({"--importance", importance});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(run_shell("cmp '" + first + "' '" + out_.string() + "'").exit_code, 0);
  const ProgramResult without = run({"--judge", text});
  EXPECT_THAT(without.out, HasSubstr("mean KL(P‖Q)"));
  EXPECT_NE(run_shell("cmp '" + first + "' '" + out_.string() + "'").exit_code, 0);
}

TEST_F(Quantize, RefusesInOneLine) {
  const auto expect_refused = [&](const ProgramResult& result, int code, const char* part) {
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
    EXPECT_THAT(result.err, HasSubstr(part));
    EXPECT_FALSE(fs::exists(out_));
  };
  expect_refused(run({"--type", "Q2_K"}), 2, "Q2_K");
  expect_refused(run_qwen3({"quantize", "--type", "Q8_0"}), 2, "--out");
  expect_refused(run({"--calibrate", "a", "--importance", "b"}), 2, "expected one of the two");
  expect_refused(run({"--save-importance", "b"}), 2, "--calibrate");
  expect_refused(run({"--calibrate", "/nowhere"}), 1, "/nowhere");
  expect_refused(
      run({"--importance", QWEN3_SOURCE_DIR "/models/nano/config.json"}), 1, "config.json");
  expect_refused(run({"-m", "/nowhere"}), 1, "/nowhere");
  expect_refused(run_qwen3({"quantize", "-o", "/nowhere/a.gguf", "--quiet"}), 1, "/nowhere/a.gguf");
  expect_refused(
      run_qwen3({"quantize", "-o", "/dev/full", "--quiet"}), 1, "No space left on device");
}

}  // namespace
}  // namespace qwen3::test
