// Finding a grid in what a model wrote, by the official rules of ARC-AGI-1:
//
//   1. the whole text, if it is JSON;
//   2. else the last block fenced as json or python; if that is no JSON the answer is wrong;
//   3. else the last array of digits from "[[" to "]]"; if that is no JSON the answer is wrong;
//   4. else there is no answer.
//
// Any JSON value passes: a string or a number is an answer too, only never the right one.
#pragma once

#include <optional>
#include <string_view>

#include "eval/tasks/task.h"

namespace qwen3::eval {

struct GridAnswer {
  std::optional<PyValue> value;
  const char* found = "";  // "the whole text", "the last fenced block", …; "" when nothing was
  PyJsonProblem problem;   // why what was found is no JSON
};

GridAnswer read_grid_answer(std::string_view text);
// Where the rules end in unreadable JSON: earlier fenced blocks, then arrays, last first.
GridAnswer read_grid_answer_leniently(std::string_view text);

// Compares as the official scorer does: anything false in Python's eyes is wrong, then ==.
Verdict judge_grid(const GridAnswer& answer, const PyValue& truth);
// For a text without a grid.
Verdict no_grid(const GridAnswer& answer);

}  // namespace qwen3::eval
