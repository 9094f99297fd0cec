// Every config in eval/configs and its dataset: read, asked for and judged.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "eval/run/choices.h"
#include "eval/run/config.h"
#include "eval/run/dataset.h"
#include "eval/score/score.h"
#include "eval/score/score_config.h"
#include "eval/tasks/task.h"

namespace qwen3::eval {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = QWEN3_SOURCE_DIR;
constexpr const char* kOfficial = "ARCAGI-Qwen3-235B-A22B-Instruct-2507";

std::vector<fs::path> shipped() {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(kRoot / "eval/configs")) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// The text of an answer that is right.
std::string right_answer(const std::string& task, const PyValue& row) {
  const PyValue* answer = &answer_of(row);
  if (answer->list() != nullptr && task == "exact_match") answer = &answer->list()->front();
  if (const int64_t* index = answer->integer(); index != nullptr && task == "multiple_choice") {
    return std::string(1, static_cast<char>('A' + *index));
  }
  return answer->string() != nullptr ? *answer->string() : py_dumps(*answer);
}

TEST(ShippedConfigs, AreNamedAfterDatasetAndModel) {
  std::set<std::string> tasks;
  for (const fs::path& path : shipped()) {
    SCOPED_TRACE(path.filename().string());
    ASSERT_EQ(path.extension(), ".yaml");
    const EvalConfig config = load_eval_config(path);
    EXPECT_TRUE(config.unknown_keys.empty());
    const std::string stem = path.stem().string();
    std::string dataset = fs::path(config.input_file).stem().string();
    if (config.scores_choices()) dataset += "_loglikelihood";  // the rows serve two configs
    const std::string model = fs::path(config.model_name).filename().string();
    EXPECT_EQ(stem, stem == kOfficial ? kOfficial : dataset + "-" + model);
    EXPECT_EQ(config.output_file, "out/" + stem + ".jsonl");
    EXPECT_EQ(config.base_urls, std::vector<std::string>{"http://127.0.0.1:8000/v1"});
    // What `eval score` reads of the same file.
    ScoreOptions score;
    read_score_config(path, score);
    EXPECT_EQ(score.input_file, config.output_file);
    EXPECT_EQ(score.details_file, config.details_path);
    EXPECT_EQ(score.task, config.task_name);
    EXPECT_NO_THROW(make_task(config.task_name));
    tasks.insert(config.task_name);
  }
  for (const TaskInfo& task : all_tasks()) EXPECT_TRUE(tasks.contains(task.name)) << task.name;
}

TEST(ShippedConfigs, TheOfficialOneHasItsSamplingAndNothingElse) {
  const EvalConfig config =
      load_eval_config(kRoot / "eval/configs" / (std::string(kOfficial) + ".yaml"));
  EXPECT_EQ(config.lines.size(), 14u);
  EXPECT_EQ(config.model_name, "Qwen/Qwen3-235B-A22B-Instruct-2507");
  EXPECT_EQ(config.n_samples, 1);
  EXPECT_EQ(config.max_workers, 128);
  EXPECT_EQ(config.sampling["top_p"], 0.8);
  EXPECT_EQ(config.sampling["temperature"], 0.7);
  EXPECT_EQ(config.sampling["top_k"], 20);
  EXPECT_EQ(config.sampling["max_tokens"], 32768);
  EXPECT_EQ(config.sampling["presence_penalty"], 1.5);
  EXPECT_FALSE(config.seed);
}

TEST(ShippedConfigs, TheirDatasetsCanBeAnsweredRight) {
  std::set<std::string> used;
  for (const fs::path& path : shipped()) {
    SCOPED_TRACE(path.filename().string());
    if (path.stem() == kOfficial) continue;  // its dataset is not ours to ship
    const EvalConfig config = load_eval_config(path);
    const Dataset dataset(kRoot / config.input_file, Mode::standard);
    used.insert(fs::path(config.input_file).filename().string());
    const auto task = make_task(config.task_name);
    ASSERT_GE(dataset.size(), 3);
    for (int64_t i = 0; i < dataset.size(); ++i) {
      const DatasetRow row = dataset.row(i);
      EXPECT_FALSE(row.task_id.empty()) << i;
      if (config.scores_choices()) {
        EXPECT_NO_THROW(read_choices(config, row, "row")) << i;
      }
      const Verdict right = task->score(row.value, right_answer(config.task_name, row.value));
      EXPECT_EQ(right.acc, 1) << i << ": " << right.reason;
      EXPECT_EQ(task->score(row.value, "I do not know that.").acc, 0) << i;
    }
  }
  for (const auto& entry : fs::directory_iterator(kRoot / "eval/data")) {
    EXPECT_TRUE(used.contains(entry.path().filename().string())) << entry.path() << " is unused";
  }
}

}  // namespace
}  // namespace qwen3::eval
