// Standard input and files that are endless, unreadable, or not what they seem.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cli/run_program.h"
#include "cli/scripted_model.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;

class Input : public testing::Test {
 protected:
  // `command` stands for one of the program's; the model is the scripted one.
  ProgramResult shell(const std::string& command, const std::string& before = "") {
    return run_shell(before + "\"$QWEN3\" " + command + " -m '" + model_.path() + "' --quiet");
  }
  void expect_failure(const ProgramResult& result, const std::string& message) {
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
    EXPECT_THAT(result.err, HasSubstr(message));
  }
  ScriptedModel model_;
};

TEST_F(Input, AnEndlessTextIsRefused) {
  expect_failure(shell("generate", "yes | "), "standard input: expected at most 268435456 bytes");
}

TEST_F(Input, AnEndlessLineIsRefused) {
  expect_failure(shell("chat", "tr '\\0' x </dev/zero | "),
                 "standard input: expected at most 268435456 bytes");
}

TEST_F(Input, ADirectoryIsNoEmptyText) {
  const std::string reason = "standard input: cannot read: Is a directory";
  expect_failure(run_shell("\"$QWEN3\" generate -m '" + model_.path() + "' --quiet < /tmp"),
                 reason);
  expect_failure(run_shell("\"$QWEN3\" chat -m '" + model_.path() + "' --quiet < /tmp"), reason);
  for (const char* command : {"tokenize", "render"}) {
    SCOPED_TRACE(command);
    expect_failure(
        run_shell("\"$QWEN3\" " + std::string(command) + " -m '" + model_.path() + "' < /tmp"),
        reason);
  }
}

TEST_F(Input, AClosedStandardInputIsNoEmptyText) {
  expect_failure(shell("generate 0<&-"), "standard input: cannot read");
}

TEST_F(Input, ListsAndTemplatesMayComeFromAPipe) {
  const ProgramResult ids = shell("generate --ids @/dev/stdin", "echo 111,104 | ");
  EXPECT_EQ(ids.exit_code, 0) << ids.err;
  EXPECT_EQ(ids.out, "ey é\n");
}

TEST_F(Input, WhatIsNoFileIsRefusedAndNotWaitedFor) {
  const std::string fifo = model_.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const std::string logits = "logits --out '" + model_.path() + "/logits.npy' --ids @";
  for (const std::string& command :
       {std::string("generate --ids @"), std::string("trace --ids @"), logits}) {
    const std::string no_file = ": expected a regular file; got ";
    expect_failure(shell(command + fifo), fifo + no_file + "a pipe");
    expect_failure(shell(command + "/tmp"), "/tmp" + no_file + "a directory");
    expect_failure(shell(command + "/dev/zero"), "/dev/zero" + no_file + "a device");
  }
  expect_failure(run_qwen3({"render", "--template", fifo}), fifo + ": expected a regular file");
}

TEST_F(Input, TheLastLineMayLackItsEnd) {
  const ProgramResult result =
      run_qwen3({"tokenize", "-m", model_.path()}, "{\"text\":\"a\"}\r\n\n{\"text\":\"b\"}");
  EXPECT_EQ(result.out, "{\"ids\":[97]}\n{\"ids\":[98]}\n");
}

}  // namespace
}  // namespace qwen3::test
