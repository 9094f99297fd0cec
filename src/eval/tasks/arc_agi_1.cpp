// ARC-AGI-1, and any other data set of grids in the same form.
#include "eval/tasks/arc_grid.h"

namespace qwen3::eval {
namespace {

class ArcAgi1 : public Task {
 public:
  explicit ArcAgi1(const TaskOptions& options) : lenient_(options.lenient) {}

  Verdict score(const PyValue& row, std::string_view text) const override {
    const GridAnswer answer = lenient_ ? read_grid_answer_leniently(text) : read_grid_answer(text);
    return judge_grid(answer, answer_of(row));
  }

 private:
  bool lenient_;
};

}  // namespace

std::unique_ptr<Task> make_arc_agi_1(const TaskOptions& options) {
  return std::make_unique<ArcAgi1>(options);
}

}  // namespace qwen3::eval
