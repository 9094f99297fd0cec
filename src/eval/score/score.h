// Scoring: a file of answers in, numbers and verdicts out.
//
// standard  any task and number of samples; what cannot be scored is counted as wrong and said;
//           works on a file that is still being written (the whole lines so far)
// strict    task arc_agi_1 as the official scorer does it, to the last digit and with the same
//           details file; where that program dies, score_file throws and says why
//
// How the number is made, in both: the mean of the samples of each task_id, then the mean of these
// over the tasks. Samples that failed (lines of the failures file that were not answered later)
// count as wrong. Where a task allows several attempts, the best of them counts for its prompt.
//
// Everything is recomputed from the files; nothing is kept between calls. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/score/statistics.h"
#include "eval/tasks/task.h"

namespace qwen3::eval {

struct ScoreOptions {
  std::filesystem::path input_file;     // rows with "gen"
  std::filesystem::path details_file;   // "": none; its folder is made when missing
  std::filesystem::path failures_file;  // "": input_file + ".failures.jsonl", when there is one
  std::filesystem::path dataset_file;   // "": how many samples there should be is not known
  int64_t n_samples = 1;                // wanted for each row of the dataset
  int64_t max_rows = 0;                 // of the dataset, the first ones; 0: all
  std::string task = "arc_agi_1";
  TaskOptions task_options;
  bool strict = false;
  std::vector<int64_t> pass_at;  // "": 1, 2, 4, … while every prompt has as many samples
  double confidence = 0.95;
  int64_t resamples = 10'000;
  uint64_t seed = 1;
};

// One answer, or the place of one that failed.
struct SampleScore {
  int64_t line = 0;    // of the input file, from 1; of the failures file for Outcome::failed
  size_t task = 0;     // index into ScoreResult::tasks
  size_t prompt = 0;   // which of the task's prompts, from 0
  int64_t sample = 0;  // which of the prompt's samples, from 0
  Verdict verdict;
  PyValue truth;
  std::string prompt_text;
  std::string text;           // as it was judged: after the thinking
  std::string reasoning;      // the thinking, from the text or as the server told it apart
  std::string finish_reason;  // "": not told
  std::optional<int64_t> prompt_tokens, completion_tokens;
  std::string id;                 // of the sample, "": not told
  std::optional<double> seconds;  // of the request that brought it, by the timings file
  std::string failure_kind;       // for Outcome::failed: "timeout" …; "": not told
};

struct TaskScore {
  std::string task_id;
  double score = 0;
  int64_t n_prompts = 0, n_samples = 0, n_correct = 0;
};

struct PassAtK {
  int64_t k = 0;
  double value = 0;
};

struct ScoreResult {
  std::string task;
  bool strict = false;
  double accuracy = 0;
  Interval interval;                // of the accuracy, by bootstrap over the tasks
  bool interval_is_wilson = false;  // instead, because the tasks were all right or all wrong
  double confidence = 0, standard_error = 0;
  std::vector<PassAtK> pass_at;
  // For prompts with two or more samples, else nothing: the share of samples that say what most of
  // their prompt's samples say, and the accuracy were that the answer.
  std::optional<double> agreement, majority_accuracy;
  int64_t n_samples = 0;                                 // scored, failed ones included
  std::optional<int64_t> n_expected;                     // by the dataset
  std::array<int64_t, std::size(kOutcomes)> outcomes{};  // by Outcome
  std::vector<TaskScore> tasks;               // by name; strict: in the order of first appearance
  std::vector<SampleScore> samples;           // in the order of the file, failed ones last
  bool torn_line = false;                     // the file ends inside a line: left out
  std::vector<int64_t> unreadable_lines;      // lines before the last that are not rows: left out
  std::vector<int64_t> lines_without_gen;     // rows that nobody answered: scored as no_text
  std::vector<int64_t> lines_without_answer;  // rows without the key "answer": no truth to match
  std::vector<std::string> notes;             // what else a reader should know

  int64_t count(Outcome outcome) const { return outcomes[static_cast<size_t>(outcome)]; }
  // Every sample that should be there was answered.
  bool complete() const;
};

// Throws Error: a file that is missing or unreadable, an unknown task, options out of range; in
// strict mode, whatever ends the official scorer.
ScoreResult score_file(const ScoreOptions& options);

}  // namespace qwen3::eval
