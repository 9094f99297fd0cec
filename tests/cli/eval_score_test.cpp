// qwen3 eval score and prepare: the options, what is printed and the exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "cli/console.h"
#include "cli/eval_commands.h"
#include "support/temp_dir.h"

namespace qwen3::cli {
namespace {

struct Run {
  ExitCode code;
  std::string out, err;
};

// The words behind "qwen3 eval".
Run run_eval(const std::string& words) {
  Action action;
  CLI::App eval("", "eval");
  add_eval_score(eval, action);
  add_eval_prepare(eval, action);
  eval.parse(words);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Run run{kFailed, {}, {}};
  try {
    run.code = action();
  } catch (const UsageError& error) {
    run = {kWrongUsage, {}, error.what()};
  } catch (const std::exception& error) {
    run = {kFailed, {}, error.what()};
  }
  flush_stdout();
  run.out = testing::internal::GetCapturedStdout();
  run.err += testing::internal::GetCapturedStderr();
  return run;
}

std::string data(const std::string& name) {
  return std::string(QWEN3_SOURCE_DIR) + "/tests/data/eval_golden/" + name;
}

TEST(EvalScore, StrictPrintsTheOfficialLine) {
  const test::TempDir folder;
  const std::string details = (folder.path() / "new" / "details.jsonl").string();
  const auto config = folder.write("config.yaml",
                                   "eval_input_path: " + data("rows.jsonl") +
                                       "\ndetails_path: " + details + "\ntask_name: arc_agi_1\n");
  const Run run = run_eval("score --strict --config " + config.string());
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(run.out, "Task: arc_agi_1, Accuracy: 0.35125\n");
  EXPECT_TRUE(std::filesystem::exists(details));
  EXPECT_EQ(run_eval("score --strict --task nano_arc --input " + data("rows.jsonl")).code, kFailed);
}

TEST(EvalScore, StandardSaysMore) {
  const Run run = run_eval("score --input " + data("rows.jsonl"));
  EXPECT_EQ(run.code, kDone);
  EXPECT_THAT(run.out, testing::StartsWith("Task: arc_agi_1, Accuracy: 0.35125\ninterval   "));
  EXPECT_THAT(run.out, testing::HasSubstr("samples    419 scored, from 400 tasks\n"));
  const Run json = run_eval("score --json --pass-at 1 --input " + data("rows.jsonl"));
  const Json result = parse_json(json.out, "stdout");
  EXPECT_EQ(result["accuracy"], 0.35125);
  EXPECT_EQ(result["n_tasks"], 400);
}

TEST(EvalScore, TheExitCodeSaysWhetherAllIsThere) {
  const std::string dataset = " --dataset " + data("rows.jsonl");
  EXPECT_EQ(run_eval("score --input " + data("rows.jsonl") + dataset).code, kDone);
  const Run run = run_eval("score --n-samples 2 --input " + data("rows.jsonl") + dataset);
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.out, testing::HasSubstr("419 of 838 scored"));
  EXPECT_THAT(run.err, testing::HasSubstr("exit code is 1"));
}

TEST(EvalScore, WrongUse) {
  EXPECT_EQ(run_eval("score").code, kWrongUsage);
  EXPECT_THAT(run_eval("score --input /does/not/exist").err, testing::HasSubstr("/does/not/exist"));
  EXPECT_THAT(run_eval("score --task x --input " + data("rows.jsonl")).err,
              testing::HasSubstr("known are arc_agi_1"));
  EXPECT_EQ(run_eval("score --pass-at 0 --input " + data("rows.jsonl")).code, kWrongUsage);
  EXPECT_THROW(run_eval("score --confidence 2 --input x"), CLI::ParseError);
  EXPECT_THROW(run_eval("score --choices 1 --input x"), CLI::ParseError);
}

TEST(EvalPrepare, MakesAPromptFile) {
  const test::TempDir folder;
  const std::string out = (folder.path() / "arc.jsonl").string();
  const Run run = run_eval("prepare arc --json --tasks " + data("arc/tasks") + " --out " + out);
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(parse_json(run.out, "stdout")["rows"], 5);
  std::ifstream file(out);
  const std::string made{std::istreambuf_iterator<char>(file), {}};
  std::ifstream expected(data("arc/prompts.jsonl"));
  EXPECT_EQ(made, std::string(std::istreambuf_iterator<char>(expected), {}));
  EXPECT_EQ(run_eval("prepare").code, kWrongUsage);
  EXPECT_THROW(run_eval("prepare arc"), CLI::ParseError);
}

}  // namespace
}  // namespace qwen3::cli
