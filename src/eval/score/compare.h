// Two runs of one dataset side by side: which samples are the same question, how far the scores are
// apart, and whether chance explains it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/score/score.h"

namespace qwen3::eval {

struct SamplePair {
  size_t sample = 0, other = 0;  // indices into the samples of the two results
};

// `ours` is compared with `other`: a positive difference is in favour of `ours`.
struct Comparison {
  std::vector<SamplePair> pairs;  // in the order of `ours`
  int64_t n_ours_only = 0, n_other_only = 0;
  int64_t both_right = 0, ours_right = 0, other_right = 0, neither_right = 0;  // of the pairs

  // Over the tasks that are in both, by name, each with all its samples.
  int64_t n_tasks = 0;
  double ours = 0, other = 0;  // the mean of their scores
  Interval difference;         // of ours - other: paired bootstrap over these tasks
  int64_t tasks_better = 0, tasks_worse = 0;
  // How often a fair coin would part the tasks that differ at least so unevenly (the two-sided sign
  // test; for one sample a task it is McNemar's exact test). 1 when none differs.
  double p_value = 1;
};

struct CompareOptions {
  double confidence = .95;
  int64_t resamples = 10'000;
  uint64_t seed = 1;
};

// Samples are the same question when task, prompt and number are the same; what is left (prompts
// worded otherwise), when task, truth and number are; what is left then (failed samples whose
// prompt nobody kept), when task and number are.
Comparison compare(const ScoreResult& ours,
                   const ScoreResult& other,
                   const CompareOptions& options);

// P(at least as far from even) for `n` tosses of a fair coin of which `k` came up heads, two-sided.
double sign_test(int64_t k, int64_t n);

// Lines for a terminal, and one JSON object. `name` is of the other run.
std::string comparison_summary(const Comparison& comparison,
                               const ScoreResult& other,
                               const std::string& name);
Json comparison_json(const Comparison& comparison);

}  // namespace qwen3::eval
