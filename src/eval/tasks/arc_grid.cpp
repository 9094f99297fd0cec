#include "eval/tasks/arc_grid.h"

#include <fmt/format.h>

#include "eval/python/python_text.h"

namespace qwen3::eval {
namespace {

constexpr const char* kWhole = "the whole text";
constexpr const char* kFenced = "the last fenced block";
constexpr const char* kArray = "the last array";

GridAnswer read_as(std::string_view text, const char* found) {
  GridAnswer answer;
  answer.found = found;
  answer.value = py_loads(text, &answer.problem);
  return answer;
}

}  // namespace

GridAnswer read_grid_answer(std::string_view text) {
  GridAnswer whole = read_as(text, kWhole);
  // Python raises another kind of error for the two that are not syntax errors, and looks no
  // further.
  if (whole.value || whole.problem.kind != PyJsonProblem::Kind::syntax) return whole;
  const auto blocks = find_fenced_blocks(text);
  if (!blocks.empty()) return read_as(blocks.back(), kFenced);
  const auto arrays = find_bracketed_arrays(text);
  if (!arrays.empty()) return read_as(arrays.back(), kArray);
  return {};
}

GridAnswer read_grid_answer_leniently(std::string_view text) {
  GridAnswer official = read_grid_answer(text);
  if (official.value) return official;
  const auto blocks = find_fenced_blocks(text);
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    GridAnswer answer = read_as(*block, "an earlier fenced block");
    if (answer.value) return answer;
  }
  const auto arrays = find_bracketed_arrays(text);
  for (auto array = arrays.rbegin(); array != arrays.rend(); ++array) {
    GridAnswer answer = read_as(*array, "an array");
    if (answer.value) return answer;
  }
  return official;
}

Verdict no_grid(const GridAnswer& answer) {
  if (*answer.found == '\0') {
    return {.outcome = Outcome::no_answer,
            .reason = "no JSON, no fenced block and no array in the text",
            .prediction = {}};
  }
  return {.outcome = Outcome::unreadable,
          .reason = fmt::format("{} is no JSON: {}", answer.found, answer.problem.message()),
          .prediction = {}};
}

Verdict judge_grid(const GridAnswer& answer, const PyValue& truth) {
  if (!answer.value || answer.value->is_null()) {
    if (!answer.value) return no_grid(answer);
    return {.outcome = Outcome::empty,
            .reason = fmt::format("{} is null", answer.found),
            .prediction = answer.value};
  }
  Verdict verdict{.acc = 0, .outcome = Outcome::wrong, .reason = {}, .prediction = answer.value};
  if (!py_truthy(*answer.value)) {
    verdict.outcome = Outcome::empty;
    verdict.reason = fmt::format("{} is empty: {}", answer.found, preview(*answer.value));
  } else if (!py_truthy(truth)) {
    verdict.reason = "the row has no answer to compare with";
  } else if (py_equal(*answer.value, truth)) {
    verdict.acc = 1;
    verdict.outcome = Outcome::correct;
    verdict.reason = fmt::format("{} is the answer", answer.found);
  } else {
    verdict.reason =
        fmt::format("{} is another {}", answer.found, answer.value->list() ? "grid" : "value");
    if (answer.value->list() == nullptr) {
      verdict.reason += fmt::format(": a {}", answer.value->type_name());
    }
  }
  return verdict;
}

}  // namespace qwen3::eval
