// qwen3 eval perplexity and divergence, run as a user would run them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "cli/run_program.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;

const std::string kText = QWEN3_SOURCE_DIR "/tests/data/texts/mixed.txt";

// qwen3 eval perplexity of kText in float32, 128 tokens a window.
ProgramResult perplexity(const std::string& how_to_say_it) {
  return run_qwen3({"eval",
                    "perplexity",
                    "--file",
                    kText,
                    "--dtype",
                    "float32",
                    "--context",
                    "128",
                    "--stride",
                    "64",
                    how_to_say_it});
}

TEST(EvalPerplexity, PrintsAndSpeaksJson) {
  const ProgramResult said = perplexity("--quiet");
  EXPECT_EQ(said.exit_code, 0) << said.err;
  EXPECT_EQ(said.err, "");
  EXPECT_THAT(said.out, HasSubstr("perplexity "));
  EXPECT_THAT(said.out, HasSubstr("scored           549 of 550 tokens"));
  EXPECT_THAT(said.out, HasSubstr("windows          8 of up to 128 tokens, stride 64"));
  const ProgramResult json = perplexity("--json");
  const Json line = parse_json(json.out, "stdout");
  EXPECT_EQ(line["model"], "embedded:nano");
  EXPECT_EQ(line["scored_tokens"], 549);
  EXPECT_NEAR(line["log_likelihood"].get<double>(), -5911.879, 0.06);
  EXPECT_GT(line["nll_per_token_error"].get<double>(), 0);
}

TEST(EvalDivergence, OfTwoPrecisions) {
  const ProgramResult same =
      run_qwen3({"eval", "divergence", "--file", kText, "--context", "256", "--json"});
  EXPECT_EQ(same.exit_code, 0) << same.err;
  EXPECT_EQ(parse_json(same.out, "stdout")["kl_max"], 0);
  const ProgramResult other = run_qwen3({"eval",
                                         "divergence",
                                         "--file",
                                         kText,
                                         "--context",
                                         "256",
                                         "--dtype",
                                         "float32",
                                         "--other-dtype",
                                         "bfloat16",
                                         "--json"});
  const Json line = parse_json(other.out, "stdout");
  EXPECT_EQ(line["p"]["dtype"], "float32");
  EXPECT_EQ(line["q"]["dtype"], "bfloat16");
  EXPECT_GE(line["kl"].get<double>(), 0);
  EXPECT_LT(line["kl"].get<double>(), 0.01);
}

TEST(EvalDivergence, OfAModelThatReadsItsConfigOtherwise) {
  const auto kl = [](std::vector<std::string> more) {
    std::vector<std::string> words = {
        "eval", "divergence", "--file", kText, "--context", "256", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult result = run_qwen3(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return parse_json(result.out, "stdout")["kl"].get<double>();
  };
  const std::string other = R"({"rope_theta":5000})";
  EXPECT_GT(kl({"--other-hf-overrides", other}), 0.001);
  EXPECT_EQ(kl({"--hf-overrides", other}), 0) << "of both";
  EXPECT_GT(kl({"--hf-overrides", other, "--other-hf-overrides", "{}"}), 0.001);
}

TEST(EvalDivergence, RefusesAnotherVocabulary) {
  const ProgramResult result = run_qwen3(
      {"eval", "divergence", "--file", kText, "--other", golden_model("dense"), "--quiet"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(lines_of(result.err).size(), 1u);
}

TEST(EvalText, WrongUsageAndBadFiles) {
  const TempDir directory;
  const auto refused = [&](std::vector<std::string> more, int code, const std::string& message) {
    std::vector<std::string> all{"eval", "perplexity", "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    const ProgramResult result = run_qwen3(all);
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
    EXPECT_THAT(result.err, HasSubstr(message));
  };
  refused({}, 2, "--file");
  refused({"--file", kText, "--strid", "3"}, 2, "did you mean \"--stride\"?");
  refused({"--file", kText, "--stride", "x"}, 2, "--stride");
  refused({"--file", kText, "--context", "4096"}, 1, "context: expected 2 to 2048");
  refused({"--file", kText, "--context", "8", "--stride", "9"}, 1, "stride: expected 1 to 8");
  refused({"--file", directory.path().string()}, 1, directory.path().string());
  refused({"--file", directory.write("e", "").string()}, 1, "at least 2 tokens");
  refused({"--file", directory.write("b", "\xff\xfe").string()}, 1, "UTF-8");
  refused({"--file", kText, "-m", golden_model("dense")}, 1, "no tokenizer.json");
}

}  // namespace
}  // namespace qwen3::test
