// qwen3 eval score and prepare: the options, what is printed and the exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "cli/run_program.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

constexpr int kDone = 0, kFailed = 1, kWrongUsage = 2;  // exit codes

// The words behind "qwen3 eval".
ProgramResult run_eval(const std::string& words) { return run_shell("exec $QWEN3 eval " + words); }

std::string data(const std::string& name) {
  return std::string(QWEN3_SOURCE_DIR) + "/tests/data/eval_golden/" + name;
}

TEST(EvalScore, StrictPrintsTheOfficialLine) {
  const TempDir folder;
  const std::string details = (folder.path() / "new" / "details.jsonl").string();
  const auto config = folder.write("config.yaml",
                                   "eval_input_path: " + data("rows.jsonl") +
                                       "\ndetails_path: " + details + "\ntask_name: arc_agi_1\n");
  const ProgramResult run = run_eval("score --strict --config " + config.string());
  EXPECT_EQ(run.exit_code, kDone) << run.err;
  EXPECT_EQ(run.out, "Task: arc_agi_1, Accuracy: 0.35125\n");
  EXPECT_TRUE(std::filesystem::exists(details));
  EXPECT_EQ(run_eval("score --strict --task nano_arc --input " + data("rows.jsonl")).exit_code,
            kFailed);
}

TEST(EvalScore, StandardSaysMore) {
  const ProgramResult run = run_eval("score --input " + data("rows.jsonl"));
  EXPECT_EQ(run.exit_code, kDone);
  EXPECT_THAT(run.out, testing::StartsWith("Task: arc_agi_1, Accuracy: 0.35125\ninterval   "));
  EXPECT_THAT(run.out, testing::HasSubstr("samples    419 scored, from 400 tasks\n"));
  const ProgramResult json = run_eval("score --json --pass-at 1 --input " + data("rows.jsonl"));
  const Json result = parse_json(json.out, "stdout");
  EXPECT_EQ(result["accuracy"], 0.35125);
  EXPECT_EQ(result["n_tasks"], 400);
}

TEST(EvalScore, TheExitCodeSaysWhetherAllIsThere) {
  const std::string dataset = " --dataset " + data("rows.jsonl");
  EXPECT_EQ(run_eval("score --input " + data("rows.jsonl") + dataset).exit_code, kDone);
  const ProgramResult run = run_eval("score --n-samples 2 --input " + data("rows.jsonl") + dataset);
  EXPECT_EQ(run.exit_code, kFailed);
  EXPECT_THAT(run.out, testing::HasSubstr("419 of 838 scored"));
  EXPECT_THAT(run.err, testing::HasSubstr("exit code is 1"));
}

TEST(EvalScore, WritesThePage) {
  const TempDir folder;
  const std::string page = (folder.path() / "new" / "report.html").string();
  const std::string input = "score --input " + data("rows.jsonl");
  const ProgramResult run =
      run_eval(input + " --against " + data("rows.jsonl") + " --lang zh --html " + page);
  EXPECT_EQ(run.exit_code, kDone) << run.err;
  EXPECT_THAT(run.out, testing::HasSubstr("difference +0.00 % over 400 tasks in both"));
  EXPECT_THAT(run.err, testing::HasSubstr(page + ": "));
  std::ifstream file(page);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(text, testing::HasSubstr("\"lang\":\"zh\""));
  EXPECT_THAT(text, testing::EndsWith("</html>\n"));
  const ProgramResult full = run_eval(input + " --html /dev/full");
  EXPECT_EQ(full.exit_code, kFailed);
  EXPECT_THAT(full.err, testing::HasSubstr("/dev/full: cannot write"));
  const ProgramResult lacking = run_eval(input + " --against /does/not/exist --html " + page);
  EXPECT_EQ(lacking.exit_code, kFailed);
  EXPECT_THAT(lacking.err, testing::HasSubstr("/does/not/exist"));
  const Json json =
      parse_json(run_eval(input + " --json --against " + data("rows.jsonl")).out, "stdout");
  EXPECT_EQ(json["against"]["neither_right"], 419 - 146);
  EXPECT_EQ(run_eval(input + " --lang fr").exit_code, kWrongUsage);
}

// An output that is an input under whatever name would replace it.
TEST(EvalScore, NoOutputReplacesAnInput) {
  const TempDir folder;
  const std::filesystem::path rows = folder.path() / "rows.jsonl", link = folder.path() / "link";
  std::filesystem::copy_file(data("rows.jsonl"), rows);
  std::filesystem::create_symlink(rows, link);
  const auto size = std::filesystem::file_size(rows);
  const std::string score = "score --input " + rows.string();
  for (const std::string& outputs : {" --html " + rows.string(),
                                     " --html " + link.string(),
                                     " --failures " + (folder.path() / "." / "rows.jsonl").string(),
                                     " --against " + link.string() + " --html " + link.string(),
                                     " --html " + (folder.path() / "a").string() + " --failures " +
                                         (folder.path() / "a").string()}) {
    const ProgramResult run = run_eval(score + outputs);
    EXPECT_EQ(run.exit_code, kWrongUsage) << outputs;
    EXPECT_THAT(run.err, testing::HasSubstr("expected a file of its own; got "));
    EXPECT_EQ(std::filesystem::file_size(rows), size) << outputs;
  }
  const std::string page = (folder.path() / "page.html").string();
  EXPECT_EQ(run_eval(score + " --html " + page).exit_code, kDone);
  EXPECT_TRUE(std::filesystem::exists(page));
}

TEST(EvalScore, WrongUse) {
  EXPECT_EQ(run_eval("score").exit_code, kWrongUsage);
  EXPECT_THAT(run_eval("score --input /does/not/exist").err, testing::HasSubstr("/does/not/exist"));
  EXPECT_THAT(run_eval("score --task x --input " + data("rows.jsonl")).err,
              testing::HasSubstr("known are arc_agi_1"));
  EXPECT_EQ(run_eval("score --pass-at 0 --input " + data("rows.jsonl")).exit_code, kWrongUsage);
  EXPECT_EQ(run_eval("score --confidence 2 --input x").exit_code, kWrongUsage);
  EXPECT_EQ(run_eval("score --choices 1 --input x").exit_code, kWrongUsage);
}

TEST(EvalPrepare, MakesAPromptFile) {
  const TempDir folder;
  const std::string out = (folder.path() / "arc.jsonl").string();
  const ProgramResult run =
      run_eval("prepare arc --json --tasks " + data("arc/tasks") + " --out " + out);
  EXPECT_EQ(run.exit_code, kDone) << run.err;
  EXPECT_EQ(parse_json(run.out, "stdout")["rows"], 5);
  std::ifstream file(out);
  const std::string made{std::istreambuf_iterator<char>(file), {}};
  std::ifstream expected(data("arc/prompts.jsonl"));
  EXPECT_EQ(made, std::string(std::istreambuf_iterator<char>(expected), {}));
  EXPECT_EQ(run_eval("prepare").exit_code, kWrongUsage);
  EXPECT_EQ(run_eval("prepare arc").exit_code, kWrongUsage);
}

}  // namespace
}  // namespace qwen3::test
