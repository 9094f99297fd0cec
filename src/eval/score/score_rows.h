// The inside of scoring that the two modes share: a row's text, and verdicts to numbers.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "eval/score/score.h"

namespace qwen3::eval {

// A text with its thinking told apart.
struct ThoughtAndText {
  std::string_view reasoning, text;
  bool unfinished = false;  // it begins with <think>, which never closes
};
// The official mark "\n</think>\n\n" where it is, else the last </think>, else all is text.
ThoughtAndText split_thinking(std::string_view text);

// Which sample of its prompt a row says it is; -1 when it does not.
int64_t sample_number(const PyValue& row);

// Collects verdicts and makes the numbers.
class ScoreBuilder {
 public:
  explicit ScoreBuilder(const ScoreOptions& options);

  // Finds the places of a row (its task_id, its prompt) and fills in what the row tells: the
  // prompt, the truth, "qwen3". `sample` < 0: the next of its prompt.
  SampleScore begin_sample(const PyValue& row, int64_t line, int64_t sample = -1);
  // The place of a sample that has no answer, by what a line of the failures file tells: "id",
  // "task_id", "sample", and the prompt only when another program wrote the file. Nothing when it
  // was answered after all.
  std::optional<SampleScore> begin_failed(const PyValue& failure, int64_t line);
  void add(SampleScore sample);

  // `attempts`: the best of so many samples counts for a prompt.
  ScoreResult finish(int attempts);

 private:
  struct Prompt {
    std::vector<size_t> samples;  // indices into result_.samples
    int64_t next_sample = 0;
    std::map<int64_t, size_t> by_number;
  };
  struct Group {
    std::map<std::string, size_t> prompt_of;
    std::vector<Prompt> prompts;
  };
  size_t task_of(std::string key, std::string name);
  size_t prompt_of(Group& group, const std::string& key);
  double score_task(const Group& group, int attempts) const;
  void sort_by_name();
  void count_passes();
  void count_agreement();

  const ScoreOptions& options_;
  ScoreResult result_;
  std::map<std::string, size_t> task_of_;       // by what == says of task_ids
  std::map<std::string, size_t> task_of_name_;  // by the task_id as text
  std::set<std::string> ids_;                   // of the samples that are there
  std::vector<Group> groups_;
};

// The rows as scoring leaves them, one JSON text a line, written aside and renamed. Half a
// surrogate pair has no UTF-8: standard writes it as \udXXX; strict stops before the first row that
// Python could not write (this, or nested too deep), commits the rows before it, as the official
// scorer leaves them, and throws.
enum class DetailsStyle { standard, strict };
void write_details(const std::filesystem::path& path,
                   const std::vector<PyValue>& rows,
                   DetailsStyle style);

ScoreResult score_standard(const ScoreOptions& options);  // score.cpp
ScoreResult score_strict(const ScoreOptions& options);    // score_strict.cpp

}  // namespace qwen3::eval
