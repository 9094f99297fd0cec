#include "eval/score/score_rows.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/output_file.h"
#include "base/utf8.h"
#include "eval/python/python_text.h"

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

std::string prompt_text(const PyValue& row) {
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
    return {"prompt " + prompt_text(row), "row " + std::to_string(line)};
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

int64_t sample_number(const PyValue& row) {
  const PyValue* number = own_member(row, "sample");
  if (number == nullptr) number = row.find("sample");
  const int64_t* value = number == nullptr ? nullptr : number->integer();
  return value == nullptr || *value < 0 || *value > INT32_MAX ? -1 : *value;
}

ScoreBuilder::ScoreBuilder(const ScoreOptions& options) : options_(options) {
  result_.task = options.task;
  result_.strict = options.strict;
  result_.confidence = options.confidence;
}

size_t ScoreBuilder::task_of(std::string key, std::string name) {
  const auto [task, is_new] = task_of_.emplace(std::move(key), groups_.size());
  if (is_new) {
    groups_.emplace_back();
    task_of_name_.emplace(name, task->second);
    result_.tasks.push_back({.task_id = std::move(name)});
  }
  return task->second;
}

size_t ScoreBuilder::prompt_of(Group& group, const std::string& key) {
  const auto [prompt, is_new] = group.prompt_of.emplace(key, group.prompts.size());
  if (is_new) group.prompts.emplace_back();
  return prompt->second;
}

SampleScore ScoreBuilder::begin_sample(const PyValue& row, int64_t line, int64_t number) {
  SampleScore sample;
  sample.line = line;
  auto [key, name] = task_key_and_name(row, line, options_.strict);
  sample.task = task_of(std::move(key), std::move(name));
  Group& group = groups_[sample.task];
  sample.prompt_text = prompt_text(row);
  sample.prompt = prompt_of(group, sample.prompt_text);
  sample.sample = number >= 0 ? number : group.prompts[sample.prompt].next_sample;
  sample.truth = answer_of(row);
  sample.finish_reason = own_text(row, "finish_reason");
  sample.reasoning = own_text(row, "reasoning_content");
  sample.prompt_tokens = own_count(row, "prompt_tokens");
  sample.completion_tokens = own_count(row, "completion_tokens");
  sample.id = own_text(row, "id");
  if (!sample.id.empty()) ids_.insert(sample.id);
  return sample;
}

// Without the prompt, a failed sample goes to the first prompt of its task that lacks one of its
// number: the score is the same whichever prompt it was.
std::optional<SampleScore> ScoreBuilder::begin_failed(const PyValue& failure, int64_t line) {
  const PyValue* id = failure.find("id");
  const bool has_id = id != nullptr && id->string() != nullptr;
  if (has_id && !ids_.insert(*id->string()).second) return std::nullopt;
  const PyValue* prompt = failure.find("prompt");
  const int64_t number = std::max<int64_t>(sample_number(failure), 0);
  if (prompt != nullptr) {
    SampleScore sample = begin_sample(failure, line, number);
    const Prompt& place = groups_[sample.task].prompts[sample.prompt];
    if (place.by_number.contains(number)) return std::nullopt;
    return sample;
  }
  SampleScore sample;
  sample.line = line;
  sample.sample = number;
  const PyValue* task_id = failure.find("task_id");
  const std::string name = task_id != nullptr && task_id->string() != nullptr
                               ? *task_id->string()
                               : fmt::format("failed {}", line);
  const auto known = task_of_name_.find(name);
  sample.task = known != task_of_name_.end() ? known->second : task_of("failed " + name, name);
  Group& group = groups_[sample.task];
  const auto lacks = [&](const Prompt& place) { return !place.by_number.contains(number); };
  const auto free = std::find_if(group.prompts.begin(), group.prompts.end(), lacks);
  sample.prompt = free != group.prompts.end() ? static_cast<size_t>(free - group.prompts.begin())
                                              : prompt_of(group, fmt::format("failed {}", line));
  return sample;
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

// Sums depend on their order in the last digit. The official order is that of the file; without
// it, order by name makes equal numbers of however the file came about.
void ScoreBuilder::sort_by_name() {
  std::vector<size_t> order(groups_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return result_.tasks[a].task_id < result_.tasks[b].task_id;
  });
  std::vector<size_t> place(order.size());
  std::vector<Group> groups;
  std::vector<TaskScore> tasks;
  for (size_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    groups.push_back(std::move(groups_[order[i]]));
    tasks.push_back(std::move(result_.tasks[order[i]]));
  }
  groups_ = std::move(groups);
  result_.tasks = std::move(tasks);
  for (SampleScore& sample : result_.samples) sample.task = place[sample.task];
  for (Group& group : groups_) {
    std::vector<Prompt> prompts;
    for (auto& [text, index] : group.prompt_of) {
      Prompt& prompt = group.prompts[index];
      std::stable_sort(prompt.samples.begin(), prompt.samples.end(), [&](size_t a, size_t b) {
        return result_.samples[a].sample < result_.samples[b].sample;
      });
      for (const size_t sample : prompt.samples) result_.samples[sample].prompt = prompts.size();
      index = prompts.size();
      prompts.push_back(std::move(prompt));
    }
    group.prompts = std::move(prompts);
  }
}

ScoreResult ScoreBuilder::finish(int attempts) {
  if (!options_.strict) sort_by_name();
  std::vector<double> scores;
  for (size_t i = 0; i < groups_.size(); ++i) {
    TaskScore& task = result_.tasks[i];
    task.n_prompts = static_cast<int64_t>(groups_[i].prompts.size());
    task.score = score_task(groups_[i], attempts);
    scores.push_back(task.score);
  }
  result_.accuracy = mean(scores);
  result_.standard_error = standard_error(scores);
  const bool alike = !scores.empty() && (scores.front() == 0 || scores.front() == 1) &&
                     std::ranges::all_of(scores, [&](double s) { return s == scores.front(); });
  result_.interval_is_wilson = alike;
  result_.interval =
      alike ? wilson_all_alike(std::ssize(scores), scores.front() == 1, options_.confidence)
            : bootstrap_mean(scores, options_.confidence, options_.resamples, options_.seed);
  count_passes();
  count_agreement();
  return std::move(result_);
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
