#include "eval/score/score_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "base/utf8.h"
#include "eval/run/sample_line.h"

namespace qwen3::eval {
namespace {

std::string percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

std::string samples_line(const ScoreResult& result) {
  std::string line = fmt::format("samples    {}", result.n_samples);
  if (result.n_expected) line += fmt::format(" of {}", *result.n_expected);
  line +=
      fmt::format(" scored, from {}", counted(static_cast<int64_t>(result.tasks.size()), "task"));
  if (const int64_t failed = result.count(Outcome::failed)) {
    line += fmt::format("; {} of them failed and count as wrong", failed);
  }
  return line + "\n";
}

std::string outcomes_line(const ScoreResult& result) {
  std::vector<std::string> parts;
  for (const Outcome outcome : kOutcomes) {
    if (const int64_t n = result.count(outcome)) {
      parts.push_back(fmt::format("{} {}", outcome_name(outcome), n));
    }
  }
  return fmt::format("outcomes   {}\n", fmt::join(parts, ", "));
}

std::string failures_line(const ScoreResult& result) {
  std::map<std::string, int64_t> kinds;
  for (const SampleScore& sample : result.samples) {
    if (!sample.failure_kind.empty()) ++kinds[sample.failure_kind];
  }
  if (kinds.empty()) return {};
  std::vector<std::string> parts;
  for (const auto& [kind, n] : kinds) {
    parts.push_back(fmt::format("{} {}", quote_for_message(kind), n));
  }
  return fmt::format("failures   {}\n", fmt::join(parts, ", "));
}

// "" where nothing was told.
std::string spread_line(const char* title, const char* unit, const std::vector<Measured>& values) {
  const std::optional<Spread> spread = spread_of(values);
  if (!spread) return {};
  return fmt::format("{:<10} {}: median {:.4g}, 90th percentile {:.4g}, maximum {:.4g}\n",
                     title,
                     unit,
                     spread->median,
                     spread->p90,
                     spread->max);
}

std::string cut_line(const ScoreResult& result) {
  const int64_t n = std::ranges::count(result.samples, "length", &SampleScore::finish_reason);
  if (n == 0) return {};
  return fmt::format("cut off    {} reached the limit of tokens\n", counted(n, "answer"));
}

// "" for no lines.
std::string lines_note(const std::vector<int64_t>& lines,
                       std::string_view one,
                       std::string_view several) {
  if (lines.empty()) return {};
  return fmt::format("note       {}; the first is line {}\n",
                     lines.size() == 1 ? fmt::format("1 line {}", one)
                                       : fmt::format("{} lines {}", lines.size(), several),
                     lines.front());
}

}  // namespace

std::string counted(int64_t n, const char* word) {
  return fmt::format("{} {}{}", n, word, n == 1 ? "" : "s");
}

std::vector<Measured> lengths_of(const ScoreResult& result) {
  std::vector<Measured> values;
  for (const SampleScore& sample : result.samples) {
    if (!sample.completion_tokens || *sample.completion_tokens < 0) continue;
    if (sample.finish_reason == kChosen) continue;  // nothing was generated
    values.push_back({static_cast<double>(*sample.completion_tokens), sample.verdict.acc > 0});
  }
  return values;
}

std::vector<Measured> times_of(const ScoreResult& result) {
  std::vector<Measured> values;
  for (const SampleScore& sample : result.samples) {
    if (sample.seconds) values.push_back({*sample.seconds, sample.verdict.acc > 0});
  }
  return values;
}

std::string official_line(const ScoreResult& result) {
  return fmt::format("Task: {}, Accuracy: {}", result.task, python_float_repr(result.accuracy));
}

std::string score_summary(const ScoreResult& result) {
  std::string text = official_line(result) + "\n";
  if (result.samples.empty()) return text + "samples    none\n";
  const std::string how =
      result.interval_is_wilson
          ? fmt::format("Wilson over {}, all alike", counted(std::ssize(result.tasks), "task"))
          : fmt::format("bootstrap over tasks; standard error {}", percent(result.standard_error));
  text += fmt::format("interval   {} to {} ({:g} % {})\n",
                      percent(result.interval.low),
                      percent(result.interval.high),
                      100 * result.confidence,
                      how);
  for (const PassAtK& pass : result.pass_at) {
    text += fmt::format("{:<10} {}\n", fmt::format("pass@{}", pass.k), percent(pass.value));
  }
  if (result.agreement) {
    text += fmt::format("agreement  {} of a prompt's samples say the same; by majority {}\n",
                        percent(*result.agreement),
                        percent(*result.majority_accuracy));
  }
  text += samples_line(result) + outcomes_line(result) + failures_line(result);
  text += spread_line("lengths", "completion tokens", lengths_of(result));
  text += spread_line("times", "seconds per request", times_of(result));
  text += cut_line(result);
  if (result.n_expected && result.n_samples < *result.n_expected) {
    text += fmt::format("note       {} still to come: this is the score so far\n",
                        counted(*result.n_expected - result.n_samples, "sample"));
  }
  if (result.torn_line) text += "note       the file ends inside a line, which was left out\n";
  text += lines_note(
      result.unreadable_lines, "is not a row and was left out", "are not rows and were left out");
  text += lines_note(result.lines_without_gen, "lacks the key \"gen\"", "lack the key \"gen\"");
  text += lines_note(
      result.lines_without_answer, "lacks the key \"answer\"", "lack the key \"answer\"");
  for (const std::string& note : result.notes) text += fmt::format("note       {}\n", note);
  return text;
}

Json score_json(const ScoreResult& result) {
  Json json = {{"task", result.task},
               {"strict", result.strict},
               {"accuracy", result.accuracy},
               {"confidence", result.confidence},
               {"interval", {result.interval.low, result.interval.high}},
               {"interval_by", result.interval_is_wilson ? "wilson" : "bootstrap"},
               {"standard_error", result.standard_error},
               {"n_tasks", result.tasks.size()},
               {"n_samples", result.n_samples},
               {"n_expected", result.n_expected ? Json(*result.n_expected) : Json()},
               {"complete", result.complete()}};
  json["pass_at"] = Json::object();
  for (const PassAtK& pass : result.pass_at) json["pass_at"][std::to_string(pass.k)] = pass.value;
  json["agreement"] = result.agreement ? Json(*result.agreement) : Json();
  json["majority_accuracy"] = result.majority_accuracy ? Json(*result.majority_accuracy) : Json();
  for (const Outcome outcome : kOutcomes) {
    json["outcomes"][outcome_name(outcome)] = result.count(outcome);
  }
  json["torn_line"] = result.torn_line;
  json["unreadable_lines"] = result.unreadable_lines;
  json["lines_without_gen"] = result.lines_without_gen;
  json["lines_without_answer"] = result.lines_without_answer;
  json["notes"] = result.notes;
  json["tasks"] = Json::array();
  for (const TaskScore& task : result.tasks) {
    json["tasks"].push_back({{"task_id", utf8_lossy(task.task_id)},
                             {"score", task.score},
                             {"n_prompts", task.n_prompts},
                             {"n_samples", task.n_samples},
                             {"n_correct", task.n_correct}});
  }
  return json;
}

}  // namespace qwen3::eval
