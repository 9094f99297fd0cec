// Standard streams that are closed, full or broken: no crash, no success that is none, and no
// message in a file of the user's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/input_file.h"
#include "cli/run_program.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;

const std::string kGenerate = "\"$QWEN3\" generate -m '" + golden_model("dense") +
                              "' --ids 15 --max-tokens 3 --temperature 0 --ignore-eos";

TEST(Streams, ClosedStderrIsNoReasonToStop) {
  const ProgramResult result = run_shell(kGenerate + " 2>&-");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "298,3,298\n");
  EXPECT_EQ(run_shell("\"$QWEN3\" nonsense 2>&-").exit_code, 2);
}

TEST(Streams, AFullStderrIsNoReasonToStop) {
  const ProgramResult result = run_shell(kGenerate + " 2>/dev/full");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "298,3,298\n");
}

TEST(Streams, AStderrThatNobodyReadsIsNoReasonToStop) {
  // The reader is gone before the program writes: it waits for the end of its standard input.
  const TempDir dir;
  const std::string code = (dir.path() / "code").string();
  run_shell("{ read line; " + kGenerate + " >/dev/null; echo $? >'" + code + "'; } 2>&1 | true",
            "go\n");
  EXPECT_EQ(read_text_file(code, 10), "0\n");
}

TEST(Streams, AStdoutThatNobodyReadsEndsTheProgramQuietly) {
  const TempDir dir;
  const std::string code = (dir.path() / "code").string();
  const ProgramResult result = run_shell(
      "{ read line; " + kGenerate + " --quiet; echo $? >'" + code + "'; } | true", "go\n");
  EXPECT_EQ(read_text_file(code, 10), "141\n");  // SIGPIPE
  EXPECT_EQ(result.err, "");
}

TEST(Streams, ClosedStdoutIsAFailure) {
  const ProgramResult result = run_shell(kGenerate + " --quiet >&-");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
  EXPECT_THAT(result.err, HasSubstr("stdout: cannot write"));
}

TEST(Streams, NoMessageLandsInAFileOpenedLater) {
  const TempDir dir;
  const std::string out = (dir.path() / "logits.npy").string();
  const std::string logits =
      "\"$QWEN3\" logits -m '" + golden_model("dense") + "' --ids 15,16 --out '" + out + "'";
  ASSERT_EQ(run_shell(logits + " 0<&- 1>&- 2>&-").exit_code, 0);
  const std::string bare = read_text_file(out, 1 << 20);
  ASSERT_EQ(run_shell(logits).exit_code, 0);
  EXPECT_EQ(read_text_file(out, 1 << 20), bare);
}

TEST(Streams, HelpAndVersionThatCannotBeWrittenFail) {
  for (const char* option : {"--version", "--help", "chat --help"}) {
    SCOPED_TRACE(option);
    const ProgramResult result = run_shell(std::string("\"$QWEN3\" ") + option + " >/dev/full");
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
    EXPECT_THAT(result.err, HasSubstr("stdout: cannot write: No space left on device"));
  }
}

}  // namespace
}  // namespace qwen3::test
