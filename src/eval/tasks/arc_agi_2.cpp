// ARC-AGI-2: two attempts at each test grid, right if one of them is. The attempts are the first
// two samples of a prompt, or one answer {"attempt_1": grid, "attempt_2": grid} (a list of such
// objects, as in submission files, counts as well when it has one element).
#include <fmt/format.h>

#include "eval/tasks/arc_grid.h"

namespace qwen3::eval {
namespace {

// The two attempts inside one answer; nothing when it is a plain grid.
const PyDict* attempts_in(const PyValue& value) {
  const PyList* list = value.list();
  const PyValue& inner = list != nullptr && list->size() == 1 ? list->front() : value;
  const bool has = inner.find("attempt_1") != nullptr || inner.find("attempt_2") != nullptr;
  return has ? inner.dict() : nullptr;
}

class ArcAgi2 : public Task {
 public:
  explicit ArcAgi2(const TaskOptions& options) : lenient_(options.lenient) {}

  int attempts() const override { return 2; }

  Verdict score(const PyValue& row, std::string_view text) const override {
    const GridAnswer answer = lenient_ ? read_grid_answer_leniently(text) : read_grid_answer(text);
    const PyDict* both = answer.value ? attempts_in(*answer.value) : nullptr;
    if (both == nullptr) return judge_grid(answer, answer_of(row));
    Verdict last;
    for (const char* name : {"attempt_1", "attempt_2"}) {
      const PyValue* attempt = both->find(name);
      if (attempt == nullptr) continue;
      last = judge_grid({.value = *attempt, .found = name, .problem = {}}, answer_of(row));
      if (last.outcome == Outcome::correct) return last;
    }
    if (last.outcome == Outcome::wrong) last.reason = "neither attempt is the answer";
    return last;
  }

 private:
  bool lenient_;
};

}  // namespace

std::unique_ptr<Task> make_arc_agi_2(const TaskOptions& options) {
  return std::make_unique<ArcAgi2>(options);
}

}  // namespace qwen3::eval
