#include "eval/score_rows.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/output_file.h"
#include "base/utf8.h"
#include "eval/python_text.h"

namespace qwen3::eval {
namespace {

const PyValue* own_member(const PyValue& row, std::string_view key) {
  const PyValue* ours = row.find("qwen3");
  return ours == nullptr ? nullptr : ours->find(key);
}

std::optional<int64_t> own_count(const PyValue& row, std::string_view key) {
  const PyValue* value = own_member(row, key);
  const int64_t* count = value == nullptr ? nullptr : value->integer();
  return count == nullptr ? std::nullopt : std::optional<int64_t>(*count);
}

std::string own_text(const PyValue& row, std::string_view key) {
  const PyValue* value = own_member(row, key);
  return value == nullptr || value->string() == nullptr ? std::string() : *value->string();
}

std::string prompt_of(const PyValue& row) {
  const PyValue* prompt = row.find("prompt");
  if (prompt == nullptr) return {};
  return prompt->string() != nullptr ? *prompt->string() : py_dumps(*prompt);
}

// A row without a task_id is a task by itself, told by its prompt. (Strict: null is an id.)
std::pair<std::string, std::string> task_key_and_name(const PyValue& row,
                                                      int64_t line,
                                                      bool strict) {
  const PyValue* id = row.find("task_id");
  if (id == nullptr || (id->is_null() && !strict)) {
    return {"prompt " + prompt_of(row), "row " + std::to_string(line)};
  }
  return {"id " + py_equality_key(*id), id->string() != nullptr ? *id->string() : py_dumps(*id)};
}

// Surrogates stand as three bytes, ED A0..BF xx, and only inside of JSON strings.
std::string escape_surrogates(std::string_view json) {
  std::string out;
  for (size_t at = 0; at < json.size(); ++at) {
    const auto byte = [&](size_t i) { return static_cast<unsigned>(json[at + i]) & 0xFF; };
    if (at + 2 < json.size() && byte(0) == 0xED && byte(1) >= 0xA0) {
      out += fmt::format("\\u{:04x}", 0xD000 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F));
      at += 2;
    } else {
      out += json[at];
    }
  }
  return out;
}

}  // namespace

ThoughtAndText split_thinking(std::string_view text) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  ThoughtAndText parts{{}, after_official_thinking(text)};
  std::string_view thought = text.substr(0, text.size() - parts.text.size());
  if (thought.empty()) {
    const size_t close = text.rfind(kClose);
    if (close == std::string_view::npos) {
      parts.unfinished = py_strip(text).starts_with(kOpen);
      if (!parts.unfinished) return parts;
      thought = text;
      parts.text = {};
    } else {
      thought = text.substr(0, close + kClose.size());
      parts.text = text.substr(thought.size());
    }
  }
  thought = py_strip(thought);
  if (thought.starts_with(kOpen)) thought.remove_prefix(kOpen.size());
  if (thought.ends_with(kClose)) thought.remove_suffix(kClose.size());
  parts.reasoning = py_strip(thought);
  return parts;
}

ScoreBuilder::ScoreBuilder(const ScoreOptions& options) : options_(options) {
  result_.task = options.task;
  result_.strict = options.strict;
  result_.confidence = options.confidence;
}

SampleScore ScoreBuilder::begin_sample(const PyValue& row, int64_t line, int64_t number) {
  SampleScore sample;
  sample.line = line;
  auto [key, name] = task_key_and_name(row, line, options_.strict);
  const auto [task, new_task] = task_of_.emplace(std::move(key), groups_.size());
  sample.task = task->second;
  if (new_task) {
    groups_.emplace_back();
    result_.tasks.push_back({.task_id = std::move(name)});
  }
  Group& group = groups_[sample.task];
  sample.prompt_text = prompt_of(row);
  const auto [prompt, new_prompt] =
      group.prompt_of.emplace(sample.prompt_text, group.prompts.size());
  sample.prompt = prompt->second;
  if (new_prompt) group.prompts.emplace_back();
  sample.sample = number >= 0 ? number : group.prompts[sample.prompt].next_sample;
  sample.truth = answer_of(row);
  sample.finish_reason = own_text(row, "finish_reason");
  sample.reasoning = own_text(row, "reasoning_content");
  sample.prompt_tokens = own_count(row, "prompt_tokens");
  sample.completion_tokens = own_count(row, "completion_tokens");
  return sample;
}

bool ScoreBuilder::has_sample(const SampleScore& sample) const {
  return groups_[sample.task].prompts[sample.prompt].by_number.contains(sample.sample);
}

void ScoreBuilder::add(SampleScore sample) {
  Prompt& prompt = groups_[sample.task].prompts[sample.prompt];
  prompt.samples.push_back(result_.samples.size());
  prompt.by_number.emplace(sample.sample, result_.samples.size());
  prompt.next_sample = std::max(prompt.next_sample, sample.sample) + 1;
  TaskScore& task = result_.tasks[sample.task];
  ++task.n_samples;
  if (sample.verdict.acc > 0) ++task.n_correct;
  ++result_.outcomes[static_cast<size_t>(sample.verdict.outcome)];
  ++result_.n_samples;
  result_.samples.push_back(std::move(sample));
}

// With one attempt the lines of a task are pooled, as the official scorer does.
double ScoreBuilder::score_task(const Group& group, int attempts) const {
  std::vector<double> scores;
  for (const Prompt& prompt : group.prompts) {
    double best = 0;
    int tried = 0;
    if (attempts == 1) {
      for (const size_t index : prompt.samples)
        scores.push_back(result_.samples[index].verdict.acc);
      continue;
    }
    for (const auto& [number, index] : prompt.by_number) {
      if (tried++ == attempts) break;
      best = std::max(best, result_.samples[index].verdict.acc);
    }
    if (tried > 0) scores.push_back(best);
  }
  return mean(scores);
}

void ScoreBuilder::count_passes() {
  int64_t fewest = result_.samples.empty() ? 0 : INT64_MAX;
  for (const Group& group : groups_) {
    for (const Prompt& prompt : group.prompts) {
      fewest = std::min(fewest, static_cast<int64_t>(prompt.samples.size()));
    }
  }
  std::vector<int64_t> wanted = options_.pass_at;
  if (wanted.empty()) {
    for (int64_t k = 1; k <= fewest; k *= 2) wanted.push_back(k);
  }
  for (const int64_t k : wanted) {
    if (k > fewest) {
      result_.notes.push_back(
          fmt::format("pass@{}: left out; a prompt has {} samples only", k, fewest));
      continue;
    }
    std::vector<double> tasks;
    for (const Group& group : groups_) {
      std::vector<double> prompts;
      for (const Prompt& prompt : group.prompts) {
        const int64_t correct =
            std::count_if(prompt.samples.begin(), prompt.samples.end(), [&](size_t index) {
              return result_.samples[index].verdict.acc > 0;
            });
        prompts.push_back(pass_at_k(static_cast<int64_t>(prompt.samples.size()), correct, k));
      }
      tasks.push_back(mean(prompts));
    }
    result_.pass_at.push_back({k, mean(tasks)});
  }
}

// Samples without a prediction agree with nobody. Of predictions equally frequent, the first wins.
void ScoreBuilder::count_agreement() {
  std::vector<double> agreements, tasks;
  for (const Group& group : groups_) {
    std::vector<double> majorities;
    for (const Prompt& prompt : group.prompts) {
      if (prompt.samples.size() < 2) continue;
      std::map<std::string, int64_t> votes;
      int64_t most = 0;
      for (const size_t index : prompt.samples) {
        const Verdict& verdict = result_.samples[index].verdict;
        if (verdict.prediction)
          most = std::max(most, ++votes[py_equality_key(*verdict.prediction)]);
      }
      double acc = 0;
      for (const size_t index : prompt.samples) {
        const Verdict& verdict = result_.samples[index].verdict;
        if (!verdict.prediction || votes[py_equality_key(*verdict.prediction)] != most) continue;
        acc = verdict.acc;
        break;
      }
      agreements.push_back(static_cast<double>(most) / static_cast<double>(prompt.samples.size()));
      majorities.push_back(acc);
    }
    if (!majorities.empty()) tasks.push_back(mean(majorities));
  }
  if (agreements.empty()) return;
  result_.agreement = mean(agreements);
  result_.majority_accuracy = mean(tasks);
}

ScoreResult ScoreBuilder::finish(int attempts) {
  std::vector<double> scores;
  for (size_t i = 0; i < groups_.size(); ++i) {
    TaskScore& task = result_.tasks[i];
    task.n_prompts = static_cast<int64_t>(groups_[i].prompts.size());
    task.score = score_task(groups_[i], attempts);
    scores.push_back(task.score);
  }
  result_.accuracy = mean(scores);
  result_.standard_error = standard_error(scores);
  result_.interval = bootstrap_mean(scores, options_.confidence, options_.resamples, options_.seed);
  count_passes();
  count_agreement();
  return std::move(result_);
}

void make_folder_of(const std::filesystem::path& path) {
  if (path.empty() || !path.has_parent_path()) return;
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  QWEN3_CHECK(
      !error, ErrorKind::device, "{}: cannot make its folder: {}", path.string(), error.message());
}

void write_details(const std::filesystem::path& path,
                   const std::vector<PyValue>& rows,
                   DetailsStyle style) {
  OutputFile file(path);
  int64_t line = 0;
  for (const PyValue& row : rows) {
    ++line;
    std::string text = py_dumps(row);
    const bool deep = style == DetailsStyle::strict && py_depth(row) > kPyMaxDepth;
    const bool halves = !utf8_valid(text);
    if (halves && style == DetailsStyle::standard) text = escape_surrogates(text);
    if (deep || (halves && style == DetailsStyle::strict)) {
      file.commit();
      fail(ErrorKind::unsupported,
           "{}: row {} cannot be written: {}; the {} rows before it were",
           path.string(),
           line,
           deep ? fmt::format("RecursionError: nested deeper than {}", kPyMaxDepth)
                : "UnicodeEncodeError: half of a surrogate pair has no UTF-8",
           line - 1);
    }
    file.write(text);
    file.write("\n");
  }
  file.commit();
}

}  // namespace qwen3::eval
