// Options that nobody types: from the environment, from a config file, and what qwen3 config says of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/json.h"
#include "cli/run_program.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Config : public testing::Test {
 protected:
  std::string file(std::string_view text, const char* name = "config.yaml") {
    return dir_.write(name, text).string();
  }
  // The new tokens of a short greedy answer, with these words more.
  static std::int64_t n_ids(std::vector<std::string> more, const std::string& variables = {}) {
    std::string line = variables + " $QWEN3";
    for (const std::string& word : more) line += " '" + word + "'";
    const ProgramResult result = run_shell(line + " < /dev/null");
    EXPECT_EQ(result.exit_code, 0) << line << "\n" << result.err;
    if (result.exit_code != 0) return -1;
    return static_cast<std::int64_t>(parse_json(result.out, "answer").at("ids").size());
  }
  static void refused(const std::string& file, const std::string& part, int exit_code = 2) {
    const ProgramResult result = run_qwen3({"--config", file, "generate", "-p", "a"});
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
    EXPECT_THAT(result.err, HasSubstr(part));
  }

  TempDir dir_;
};

constexpr const char* kThree = "max_tokens: 3\nignore-eos: on\njson: true\ntemperature: 0\n";

TEST_F(Config, WhatIsTypedGoesBeforeTheEnvironmentAndThatBeforeTheFile) {
  const std::string config = file(kThree);
  const auto generate = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", "-p", "a", "--config", config});
    return more;
  };
  EXPECT_EQ(n_ids(generate({})), 3);
  EXPECT_EQ(n_ids(generate({}), "QWEN3_MAX_TOKENS=4"), 4);
  EXPECT_EQ(n_ids(generate({"-n", "2"}), "QWEN3_MAX_TOKENS=4"), 2);
  EXPECT_EQ(n_ids(generate({"--n-predict", "2"})), 2);
  // A command's own section goes before what all commands have.
  EXPECT_EQ(
      n_ids({"generate",
             "-p",
             "a",
             "--config-file",
             file(std::string(kThree) + "generate: {max-tokens: 5}\nchat: {max_tokens: 1}\n")}),
      5);
  // What a flag of the environment unsets stays unset.
  EXPECT_EQ(run_shell("QWEN3_JSON=0 $QWEN3 --config " + config + " generate -p a").out.find("{"),
            std::string::npos);
}

TEST_F(Config, IsFoundWhereTheEnvironmentSays) {
  const std::string home = dir_.path().string();
  std::filesystem::create_directories(dir_.path() / "qwen3");
  const std::string config = file(kThree, "qwen3/config.yaml");
  const std::vector<std::string> words = {"generate", "-p", "a"};
  EXPECT_EQ(n_ids(words, "QWEN3_CONFIG_FILE= XDG_CONFIG_HOME=" + home), 3);
  EXPECT_EQ(n_ids(words, "QWEN3_CONFIG_FILE=" + config), 3);
  // A relative XDG_CONFIG_HOME is none, a home without a file is well, and "none" reads nothing.
  EXPECT_EQ(
      run_shell("QWEN3_CONFIG_FILE= XDG_CONFIG_HOME=x HOME=/nowhere $QWEN3 version").exit_code, 0);
  EXPECT_EQ(n_ids({"generate", "-p", "a", "--json", "-n", "1", "--config", "none"},
                  "QWEN3_CONFIG_FILE=" + config),
            1);
  EXPECT_EQ(run_shell("QWEN3_CONFIG_FILE=/no/such.yaml $QWEN3 generate -p a").exit_code, 1);
  refused("/no/such.yaml", "/no/such.yaml", 1);
}

TEST_F(Config, NamesWhatItDoesNotKnow) {
  refused(file("temprature: 1\n"),
          "line 1: unknown option \"temprature\"; did you mean \"temperature\"?");
  refused(file("\nserve:\n  prot: 1\n"),
          "line 3: serve: unknown option \"prot\"; did you mean \"port\"?");
  refused(file("genrate: {}\n"), "did you mean \"generate\"?");
  refused(file("yes: true\n"), "expected a key that is text", 1);  // true, to YAML
  refused(file("config_file: x\n"), "unknown option \"config_file\"");
  refused(file("logits: {ids: '1'}\n"), "the command needs it each time; give --ids to it");
  refused(file("context: 64\nctx-size: 32\n"), "given before, in");
}

TEST_F(Config, ChecksValuesAsTheCommandLineDoes) {
  refused(file("temperature: hot\n"),
          "qwen3 generate: --temperature: expected a number from 0 to 100; got \"hot\" (from ");
  refused(file("\ntemperature: hot\n"), "config.yaml: line 2)");
  refused(file("quiet: perhaps\n"), "line 1: expected 1 or 0, on or off; got \"perhaps\"");
  refused(file("temperature: {a: 1}\n"), "temperature: expected one value; got a map");
  refused(file("temperature: [1, 2]\n"), "temperature: expected one value; got a list");
  refused(file("temperature:\n"), "temperature: expected one value; got nothing");
  refused(file("generate: 3\n"), "generate: expected options, NAME: VALUE; got text");
  refused(file("- a\n"), "expected options, NAME: VALUE; got a list");
  refused(file("stop: []\n"), "stop: expected 1 to 1024 values");
  // A value for another command is not looked at, its name is.
  EXPECT_EQ(run_qwen3({"--config", file("serve: {port: x}\n"), "generate", "-p", "a", "-n", "1"})
                .exit_code,
            0);
}

TEST_F(Config, HostileFilesAreOneLine) {
  refused(file("a: [\n"), "expected YAML", 1);
  refused(file("threads: 1\nthreads: 2\n"), "\"threads\" is given twice", 1);
  refused(file("threads: \xff\n"), "not valid UTF-8", 1);
  refused(file("1: 2\n"), "expected a key that is text", 1);
  refused(file(std::string(100'000, '[')), "", 1);
  refused(file(std::string((1 << 20) + 1, '#')), "config.yaml", 1);
  refused(file("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"), "unknown option \"a\"");
  std::string bomb = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 24; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) +
            ", *a" + std::to_string(i - 1) + "]\n";
  }
  refused(file(bomb), "more than 100000 values", 1);
  refused(dir_.path().string(), "", 1);
}

TEST_F(Config, ValuesAreWords) {
  // "on" stays a word, lists repeat an option, maps are JSON.
  const ProgramResult said =
      run_qwen3({"config",
                 "--config",
                 file("chat: {thinking: on, stop: [a, 'b c']}\n"
                      "serve: {default-chat-template-kwargs: {enable_thinking: false}}\n"),
                 "--json"});
  ASSERT_EQ(said.exit_code, 0) << said.err;
  const Json commands = parse_json(said.out, "config").at("commands");
  EXPECT_EQ(commands.at("chat").at("thinking").at("value"), "on");
  EXPECT_EQ(commands.at("chat").at("stop").at("value"), "a b c");
  EXPECT_THAT(commands.at("chat").at("stop").at("from").get<std::string>(),
              HasSubstr("config.yaml: line 1"));
  EXPECT_EQ(commands.at("serve").at("default-chat-template-kwargs").at("value"),
            R"({"enable_thinking":false})");
}

TEST_F(Config, OptionsThatExcludeEachOther) {
  // Typed ones win over both; two that were not typed are a mistake.
  const std::string config = file("generate: {prompt: b}\n");
  EXPECT_EQ(n_ids({"generate", "--ids", "1", "--config", config, "--json", "-n", "1"}), 1);
  EXPECT_EQ(n_ids({"generate", "--ids", "1", "--json", "-n", "1"}, "QWEN3_PROMPT=a"), 1);
  const ProgramResult both = run_shell("QWEN3_PROMPT=a QWEN3_IDS=1 $QWEN3 generate < /dev/null");
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_THAT(both.err, HasSubstr("exclude each other"));
  const ProgramResult pair =
      run_qwen3({"generate", "--config", file("generate: {ids: '1', file: x}\n", "pair.yaml")});
  EXPECT_EQ(pair.exit_code, 2);
  EXPECT_THAT(pair.err, HasSubstr("exclude each other; keep one"));
}

TEST_F(Config, ShowsWhereValuesComeFrom) {
  const std::string config = file("threads: 1\n");
  const ProgramResult few = run_shell("QWEN3_TOP_K=7 $QWEN3 config --config " + config);
  EXPECT_EQ(few.exit_code, 0) << few.err;
  EXPECT_THAT(few.out, HasSubstr("config file  " + config + "\n"));
  EXPECT_THAT(
      few.out,
      testing::ContainsRegex(
          "qwen3 chat\n  --top-k +7 +QWEN3_TOP_K\n  --threads +1 +[^\n]*config.yaml: line 1\n"));
  EXPECT_THAT(few.out, Not(HasSubstr("default")));
  const ProgramResult all = run_qwen3({"config", "generate", "--config", "none"});
  EXPECT_THAT(all.out, HasSubstr("config file  none\n"));
  EXPECT_THAT(all.out, testing::ContainsRegex("--model +nano +default"));
  EXPECT_THAT(all.out, Not(HasSubstr("qwen3 chat")));
  const ProgramResult unknown = run_qwen3({"config", "genrate"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("unknown command \"genrate\"; did you mean \"generate\"?"));
  EXPECT_EQ(run_shell("QWEN3_TOP_K=x $QWEN3 config").exit_code, 2);
}

}  // namespace
}  // namespace qwen3::test
