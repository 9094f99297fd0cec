#include "eval/tasks/task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/utf8.h"

namespace qwen3::eval {

const char* outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::correct:
      return "correct";
    case Outcome::wrong:
      return "wrong";
    case Outcome::empty:
      return "empty";
    case Outcome::unreadable:
      return "unreadable";
    case Outcome::no_answer:
      return "no_answer";
    case Outcome::no_text:
      return "no_text";
    case Outcome::failed:
      return "failed";
  }
  return "";
}

const std::vector<TaskInfo>& all_tasks() {
  static const std::vector<TaskInfo> kTasks = {
      {"arc_agi_1", "ARC-AGI-1 grids by the official rules", make_arc_agi_1},
      {"arc_agi_2", "ARC-AGI-2 grids, the better of two attempts", make_arc_agi_2},
      {"nano_arc", "small grids, judged as arc_agi_1", make_arc_agi_1},
      {"exact_match", "the answer's text, normalised as asked", make_exact_match},
      {"multiple_choice", "the letter of a choice", make_multiple_choice},
      {"math_answer", "a number, fraction or formula, compared exactly", make_math_answer},
      {"json_match", "a JSON value, or some paths of it", make_json_match},
  };
  return kTasks;
}

std::unique_ptr<Task> make_task(std::string_view name, const TaskOptions& options) {
  std::vector<std::string_view> names;
  for (const TaskInfo& task : all_tasks()) {
    if (name == task.name) return task.make(options);
    names.emplace_back(task.name);
  }
  fail(ErrorKind::not_found,
       "task: unknown name {}; known are {}",
       quote_for_message(name),
       fmt::join(names, ", "));
}

const PyValue& answer_of(const PyValue& row) {
  static const PyValue kNull;
  const PyValue* answer = row.find("answer");
  return answer == nullptr ? kNull : *answer;
}

std::string preview(const PyValue& value) { return quote_for_message(py_dumps(value), 60); }

}  // namespace qwen3::eval
