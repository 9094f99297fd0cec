// The strict mode: the official scorer of ARC-AGI-1, its order of events included, because that
// decides what is written before it fails.
//
//   1. the folder of the details file is made
//   2. every line is read as JSON (a blank line is no JSON)
//   3. in every row, gen[0] is cut after the first "\n</think>\n\n"
//   4. row by row: exactly one gen, its answer read and compared, "acc" set, counted for task_id
//   5. the details file is written
//   6. there must be 400 tasks
//
// What the official program reports by dying with a Python exception is an Error here, which names
// that exception.
#include <cstdint>

#include "base/error.h"
#include "base/input_file.h"
#include "base/output_file.h"
#include "base/utf8.h"
#include "eval/python/python_text.h"
#include "eval/run/line_scanner.h"
#include "eval/score/score_rows.h"
#include "eval/tasks/arc_grid.h"

namespace qwen3::eval {
namespace {

constexpr size_t kOfficialTasks = 400;

template <typename... Args>
[[noreturn]] void dies(const std::filesystem::path& path,
                       size_t row,
                       fmt::format_string<Args...> format,
                       Args&&... args) {
  fail(ErrorKind::corrupt_file,
       "{}:{}: {}; the official scorer stops here; score without --strict to continue",
       path.string(),
       row,
       fmt::format(format, std::forward<Args>(args)...));
}

// The exception that json.loads raises.
const char* exception_of(const PyJsonProblem& problem) {
  switch (problem.kind) {
    case PyJsonProblem::Kind::too_deep:
      return "RecursionError";
    case PyJsonProblem::Kind::too_many_digits:
      return "ValueError";
    default:
      return "JSONDecodeError";
  }
}

std::vector<PyValue> read_values(const std::filesystem::path& path) {
  const InputFile file(path);
  std::vector<PyValue> rows;
  LineScanner lines(file, kMaxLineBytes, LineScanner::Ends::python);
  LineScanner::Line line;
  while (lines.next(line)) {
    const size_t number = rows.size() + 1;
    if (!utf8_valid(line.text)) dies(path, number, "UnicodeDecodeError: the line is not UTF-8");
    PyJsonProblem problem;
    // Read a call nearer to the top of the program than answers are: one level more fits.
    auto row = py_loads(line.text, &problem, kPyMaxDepth + 1);
    if (!row) dies(path, number, "{}: {}", exception_of(problem), problem.message());
    rows.push_back(std::move(*row));
  }
  return rows;
}

// Leaves in gen[0] what follows the thinking, and returns the thinking.
std::string cut_thinking(const std::filesystem::path& path, size_t number, PyValue& row) {
  if (row.dict() == nullptr) {
    dies(path, number, "TypeError: the row is not an object but {}", row.type_name());
  }
  PyValue* gen = row.dict()->find("gen");
  if (gen == nullptr) dies(path, number, "KeyError: the row has no \"gen\"");
  PyList* texts = gen->list();
  const bool empty_text = gen->string() != nullptr && gen->string()->empty();
  if (empty_text || (texts != nullptr && texts->empty())) {
    dies(path, number, "IndexError: \"gen\" is empty");
  }
  if (texts == nullptr) {
    const char* exception = gen->dict() != nullptr ? "KeyError" : "TypeError";
    dies(path, number, "{}: \"gen\" is not a list but {}", exception, gen->type_name());
  }
  PyValue& text = texts->front();
  if (text.string() == nullptr) {
    dies(path, number, "AttributeError: gen[0] is not text but {}", text.type_name());
  }
  const std::string_view rest = after_official_thinking(*text.string());
  const bool cut = rest.size() < text.string()->size();
  std::string reasoning(cut ? split_thinking(*text.string()).reasoning : "");
  text = std::string(rest);
  return reasoning;
}

class StrictScorer {
 public:
  explicit StrictScorer(const ScoreOptions& options) : options_(options), builder_(options) {}

  ScoreResult run();

 private:
  void score_row(size_t number, PyValue& row, std::string reasoning);

  const ScoreOptions& options_;
  ScoreBuilder builder_;
};

void StrictScorer::score_row(size_t number, PyValue& row, std::string reasoning) {
  const std::filesystem::path& path = options_.input_file;
  const PyList& gen = *row.find("gen")->list();
  if (gen.size() != 1) {
    dies(path, number, "AssertionError: expected one text in \"gen\"; got {}", gen.size());
  }
  const std::string text = *gen.front().string();
  const GridAnswer answer = read_grid_answer(text);
  if (!answer.value && answer.problem.kind != PyJsonProblem::Kind::none &&
      answer.problem.kind != PyJsonProblem::Kind::syntax) {
    dies(path, number, "{}: {}", exception_of(answer.problem), answer.problem.message());
  }
  Verdict verdict = judge_grid(answer, answer_of(row));
  row.dict()->set("acc", verdict.acc);
  const PyValue* id = row.find("task_id");
  if (id == nullptr) dies(path, number, "KeyError: the row has no \"task_id\"");
  if (id->list() != nullptr || id->dict() != nullptr) {
    dies(path, number, "TypeError: \"task_id\" cannot be a {}", id->type_name());
  }
  SampleScore sample = builder_.begin_sample(row, static_cast<int64_t>(number));
  sample.verdict = std::move(verdict);
  sample.text = text;
  if (!reasoning.empty()) sample.reasoning = std::move(reasoning);
  builder_.add(std::move(sample));
}

ScoreResult StrictScorer::run() {
  make_folder_of(options_.details_file);
  std::vector<PyValue> rows = read_values(options_.input_file);
  std::vector<std::string> reasonings;
  for (size_t i = 0; i < rows.size(); ++i) {
    reasonings.push_back(cut_thinking(options_.input_file, i + 1, rows[i]));
  }
  for (size_t i = 0; i < rows.size(); ++i) score_row(i + 1, rows[i], std::move(reasonings[i]));
  if (!options_.details_file.empty())
    write_details(options_.details_file, rows, DetailsStyle::strict);
  ScoreResult result = builder_.finish(1);
  QWEN3_CHECK(result.tasks.size() == kOfficialTasks,
              ErrorKind::corrupt_file,
              "{}: AssertionError: expected answers to {} tasks; got {}; score without --strict to "
              "judge a part",
              options_.input_file.string(),
              kOfficialTasks,
              result.tasks.size());
  return result;
}

}  // namespace

ScoreResult score_strict(const ScoreOptions& options) {
  QWEN3_CHECK(options.task == "arc_agi_1",
              ErrorKind::invalid_argument,
              "task: the official scorer supports arc_agi_1 only; got {}; score without --strict",
              quote_for_message(options.task));
  return StrictScorer(options).run();
}

}  // namespace qwen3::eval
