// What an evaluation asks and how an answer is judged. One task, one file in this folder; the list
// of them is in task.cpp. A task is told the row of the data set and the text after the thinking,
// and never throws for what a model wrote: a bad answer is a verdict, not an error.
//
// Tasks are immutable once made, and safe to use from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/python/python_json.h"

namespace qwen3::eval {

enum class Outcome {
  correct,
  wrong,       // an answer was found, and it is another one
  empty,       // an answer was found, but it is nothing: [], {}, 0, ""
  unreadable,  // what should be the answer breaks its format
  no_answer,   // nothing in the text looks like an answer
  no_text,     // there is no text: null, an object, "", thinking that never ends
  failed,      // the sample was never answered (a line of the failures file)
};
inline constexpr Outcome kOutcomes[] = {Outcome::correct,
                                        Outcome::wrong,
                                        Outcome::empty,
                                        Outcome::unreadable,
                                        Outcome::no_answer,
                                        Outcome::no_text,
                                        Outcome::failed};
const char* outcome_name(Outcome outcome);  // stable: used in files

struct Verdict {
  double acc = 0;  // 0 or 1
  Outcome outcome = Outcome::no_answer;
  std::string reason;                      // one line for people
  std::optional<PyValue> prediction = {};  // what was read from the text
};

// How a task may be told to be more forgiving. Each task says which of these it uses.
struct TaskOptions {
  bool lenient = false;                 // grids: look further where the official rules give up
  bool ignore_case = false;             // exact_match
  bool ignore_punctuation = false;      // exact_match
  bool ignore_articles = false;         // exact_match: the words a, an, the
  std::vector<std::string> paths = {};  // json_match: JSON pointers to compare; empty: everything
  double tolerance = 0;                 // json_match: |a - b| <= tolerance * max(1, |b|)
  int choices = 4;                      // multiple_choice: when the row does not list them
};

class Task {
 public:
  virtual ~Task() = default;

  // `row` is a line of the data set; its "answer" is the truth. `text` is UTF-8, surrogates
  // allowed.
  virtual Verdict score(const PyValue& row, std::string_view text) const = 0;
  // The best of so many samples counts for a prompt (ARC-AGI-2 allows two attempts).
  virtual int attempts() const { return 1; }
};

struct TaskInfo {
  const char* name;
  const char* summary;
  std::unique_ptr<Task> (*make)(const TaskOptions& options);
};
const std::vector<TaskInfo>& all_tasks();

// Throws Error{not_found} naming the tasks there are.
std::unique_ptr<Task> make_task(std::string_view name, const TaskOptions& options = {});

// The truth of a row: its "answer", or null.
const PyValue& answer_of(const PyValue& row);
// A short form of `value` for a reason.
std::string preview(const PyValue& value);

// One per file of this folder.
std::unique_ptr<Task> make_arc_agi_1(const TaskOptions& options);
std::unique_ptr<Task> make_arc_agi_2(const TaskOptions& options);
std::unique_ptr<Task> make_exact_match(const TaskOptions& options);
std::unique_ptr<Task> make_multiple_choice(const TaskOptions& options);
std::unique_ptr<Task> make_math_answer(const TaskOptions& options);
std::unique_ptr<Task> make_json_match(const TaskOptions& options);

}  // namespace qwen3::eval
