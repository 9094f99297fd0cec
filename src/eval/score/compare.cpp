#include "eval/score/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "eval/score/score_text.h"

namespace qwen3::eval {
namespace {

std::string key_of(const ScoreResult& result, const SampleScore& sample, const std::string& what) {
  const std::string& task = result.tasks[sample.task].task_id;
  return fmt::format("{} {} {} {}", sample.sample, task.size(), task, what);
}

// What tells a question apart, from the most exact to the least.
std::string by_prompt(const ScoreResult& result, const SampleScore& sample) {
  return key_of(result, sample, sample.prompt_text);
}
std::string by_truth(const ScoreResult& result, const SampleScore& sample) {
  return key_of(result, sample, py_equality_key(sample.truth));
}
std::string by_task(const ScoreResult& result, const SampleScore& sample) {
  return key_of(result, sample, "");
}

// Pairs samples in the order in which they stand in the files.
class Matcher {
 public:
  Matcher(const ScoreResult& ours, const ScoreResult& other) : ours_(ours), other_(other) {
    for (size_t i = 0; i < ours.samples.size(); ++i) left_.push_back(i);
    for (size_t i = 0; i < other.samples.size(); ++i) left_of_other_.push_back(i);
  }

  template <typename Key>
  void match(Key&& key) {
    std::map<std::string, std::vector<size_t>> places;
    for (auto i = left_of_other_.rbegin(); i != left_of_other_.rend(); ++i) {
      places[key(other_, other_.samples[*i])].push_back(*i);
    }
    std::set<size_t> taken;
    std::erase_if(left_, [&](size_t sample) {
      const auto place = places.find(key(ours_, ours_.samples[sample]));
      if (place == places.end() || place->second.empty()) return false;
      pairs_.push_back({sample, place->second.back()});
      taken.insert(place->second.back());
      place->second.pop_back();
      return true;
    });
    std::erase_if(left_of_other_, [&](size_t sample) { return taken.contains(sample); });
  }

  std::vector<SamplePair> take_pairs() {
    std::ranges::sort(pairs_, {}, &SamplePair::sample);
    return std::move(pairs_);
  }
  int64_t n_left() const { return static_cast<int64_t>(left_.size()); }
  int64_t n_left_of_other() const { return static_cast<int64_t>(left_of_other_.size()); }

 private:
  const ScoreResult& ours_;
  const ScoreResult& other_;
  std::vector<size_t> left_, left_of_other_;
  std::vector<SamplePair> pairs_;
};

void compare_tasks(const ScoreResult& ours,
                   const ScoreResult& other,
                   const CompareOptions& options,
                   Comparison& comparison) {
  std::map<std::string_view, double> score_of;
  for (const TaskScore& task : other.tasks) score_of.emplace(task.task_id, task.score);
  std::vector<double> differences, our_scores, other_scores;
  for (const TaskScore& task : ours.tasks) {
    const auto match = score_of.find(task.task_id);
    if (match == score_of.end()) continue;
    our_scores.push_back(task.score);
    other_scores.push_back(match->second);
    differences.push_back(task.score - match->second);
    if (differences.back() > 0) ++comparison.tasks_better;
    if (differences.back() < 0) ++comparison.tasks_worse;
  }
  comparison.n_tasks = static_cast<int64_t>(differences.size());
  comparison.ours = mean(our_scores);
  comparison.other = mean(other_scores);
  comparison.difference =
      bootstrap_mean(differences, options.confidence, options.resamples, options.seed);
  comparison.p_value =
      sign_test(comparison.tasks_better, comparison.tasks_better + comparison.tasks_worse);
}

std::string points(double difference) { return fmt::format("{:+.2f} %", 100 * difference); }

}  // namespace

// Twice the smaller tail, from the logarithms of the binomial coefficients.
double sign_test(int64_t k, int64_t n) {
  const int64_t fewer = std::min(k, n - k);
  const auto log_factorial = [](int64_t m) { return std::lgamma(static_cast<double>(m) + 1); };
  double tail = 0;
  for (int64_t i = 0; i <= fewer; ++i) {
    tail += std::exp(log_factorial(n) - log_factorial(i) - log_factorial(n - i) -
                     static_cast<double>(n) * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

Comparison compare(const ScoreResult& ours,
                   const ScoreResult& other,
                   const CompareOptions& options) {
  Comparison comparison;
  Matcher matcher(ours, other);
  matcher.match(by_prompt);
  matcher.match(by_truth);
  matcher.match(by_task);
  comparison.pairs = matcher.take_pairs();
  comparison.n_ours_only = matcher.n_left();
  comparison.n_other_only = matcher.n_left_of_other();
  for (const SamplePair& pair : comparison.pairs) {
    const bool right = ours.samples[pair.sample].verdict.acc > 0;
    const bool other_right = other.samples[pair.other].verdict.acc > 0;
    int64_t& count = right ? (other_right ? comparison.both_right : comparison.ours_right)
                           : (other_right ? comparison.other_right : comparison.neither_right);
    ++count;
  }
  compare_tasks(ours, other, options, comparison);
  return comparison;
}

std::string comparison_summary(const Comparison& c,
                               const ScoreResult& other,
                               const std::string& name) {
  std::string text = fmt::format("against    {}: {}\n", name, official_line(other));
  if (c.n_tasks == 0) return text + "difference unknown: no task is in both files\n";
  text += fmt::format(
      "difference {} over {} in both; {} to {} ({:g} % paired bootstrap), sign test p = {:.3g}\n",
      points(c.ours - c.other),
      counted(c.n_tasks, "task"),
      points(c.difference.low),
      points(c.difference.high),
      100 * other.confidence,
      c.p_value);
  text += fmt::format("changed    {} gained, {} lost, {} right in both, {} in neither\n",
                      c.ours_right,
                      c.other_right,
                      c.both_right,
                      c.neither_right);
  if (c.n_ours_only + c.n_other_only > 0) {
    text += fmt::format("note       {} only here, {} only there\n",
                        counted(c.n_ours_only, "sample"),
                        counted(c.n_other_only, "sample"));
  }
  return text;
}

Json comparison_json(const Comparison& c) {
  return {{"n_pairs", c.pairs.size()},
          {"n_ours_only", c.n_ours_only},
          {"n_other_only", c.n_other_only},
          {"both_right", c.both_right},
          {"ours_right", c.ours_right},
          {"other_right", c.other_right},
          {"neither_right", c.neither_right},
          {"n_tasks", c.n_tasks},
          {"ours", c.ours},
          {"other", c.other},
          {"difference", c.ours - c.other},
          {"interval", {c.difference.low, c.difference.high}},
          {"tasks_better", c.tasks_better},
          {"tasks_worse", c.tasks_worse},
          {"p_value", c.p_value}};
}

}  // namespace qwen3::eval
