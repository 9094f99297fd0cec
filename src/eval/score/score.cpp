// The standard mode. Nothing that a model or a server wrote ends the work: each row becomes a
// verdict with its reason, and what could not be read is counted and said.
#include "eval/score/score.h"

#include <cmath>
#include <unordered_map>

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/output_file.h"
#include "base/utf8.h"
#include "eval/python/python_text.h"
#include "eval/run/line_scanner.h"
#include "eval/run/run_files.h"
#include "eval/score/score_rows.h"

namespace qwen3::eval {
namespace {

struct Row {
  int64_t line;
  PyValue value;
};

// The objects of a JSONL file. A broken last line is a line that is still being written.
struct RowFile {
  std::vector<Row> rows;
  std::vector<int64_t> unreadable;
  bool torn = false;
};

RowFile read_rows(const std::filesystem::path& path) {
  const InputFile file(path);
  RowFile result;
  LineScanner lines(file, kMaxLineBytes);
  LineScanner::Line line;
  while (lines.next(line)) {
    if (py_strip(line.text).empty()) continue;
    auto value = utf8_valid(line.text) ? py_loads(line.text, nullptr, kPyMaxDepth) : std::nullopt;
    if (value && value->dict() != nullptr) {
      result.rows.push_back({line.number, std::move(*value)});
    } else if (!line.terminated) {
      result.torn = true;
    } else {
      result.unreadable.push_back(line.number);
    }
  }
  return result;
}

// What stands in "gen" where a text should.
Verdict no_text(const PyValue* gen) {
  Verdict verdict;
  verdict.outcome = Outcome::no_text;
  if (gen == nullptr) {
    verdict.reason = "the row has nothing in \"gen\"";
  } else if (gen->is_null()) {
    verdict.reason = "the content is null";
  } else if (const PyValue* why = gen->find("end_reason"); why != nullptr) {
    verdict.reason = fmt::format("no content: {}", preview(*why));
  } else {
    verdict.reason = fmt::format("expected a text in \"gen\"; got {}", gen->type_name());
  }
  return verdict;
}

// Seconds by the id of the sample, from the timings file when there is one. It is no more than a
// log: lines that are not rows of it are passed over.
std::unordered_map<std::string, double> read_seconds(const std::filesystem::path& path) {
  std::unordered_map<std::string, double> seconds_of;
  if (!file_exists(path)) return seconds_of;
  for (const Row& row : read_rows(path).rows) {
    const PyValue* id = row.value.find("id");
    const PyValue* seconds = row.value.find("seconds");
    if (id == nullptr || id->string() == nullptr || seconds == nullptr) continue;
    const double* value = seconds->floating();
    if (value != nullptr && std::isfinite(*value) && *value >= 0)
      seconds_of[*id->string()] = *value;
  }
  return seconds_of;
}

std::string why_failed(const PyValue& failure) {
  std::string why;
  for (const char* key : {"kind", "message", "error"}) {
    const PyValue* part = failure.find(key);
    if (part == nullptr || part->string() == nullptr || part->string()->empty()) continue;
    why += (why.empty() ? "" : ": ") + quote_for_message(*part->string());
  }
  return why.empty() ? "never answered" : why;
}

PyValue as_detail(const Verdict& verdict) {
  PyDict detail;
  detail.set("acc", verdict.acc);
  detail.set("outcome", outcome_name(verdict.outcome));
  detail.set("reason", verdict.reason);
  // What nests deeper than any answer is shortened, so that every JSON reader takes the file.
  constexpr int kMaxDepth = 64;
  const PyValue prediction = verdict.prediction.value_or(PyValue());
  detail.set("prediction",
             py_depth(prediction) <= kMaxDepth ? prediction : PyValue(preview(prediction)));
  return detail;
}

class StandardScorer {
 public:
  explicit StandardScorer(const ScoreOptions& options)
      : options_(options),
        task_(make_task(options.task, options.task_options)),
        seconds_(read_seconds(timings_path(options.input_file))),
        builder_(options) {}

  ScoreResult run();

 private:
  void score_row(Row& row);
  void judge(SampleScore& sample, const PyValue& row, const PyValue* gen) const;
  void add_failures();
  std::optional<int64_t> n_expected() const;

  const ScoreOptions& options_;
  std::unique_ptr<Task> task_;
  std::unordered_map<std::string, double> seconds_;  // by id
  ScoreBuilder builder_;
  std::vector<PyValue> details_;
  std::vector<int64_t> lines_without_gen_, lines_without_answer_;
};

// The texts of a row; nullptr stands for one that is missing.
std::vector<const PyValue*> texts_of(const PyValue& row) {
  const PyValue* gen = row.find("gen");
  if (gen == nullptr || gen->list() == nullptr) return {gen};
  std::vector<const PyValue*> texts;
  for (const PyValue& text : *gen->list()) texts.push_back(&text);
  if (texts.empty()) texts.push_back(nullptr);
  return texts;
}

void StandardScorer::judge(SampleScore& sample, const PyValue& row, const PyValue* gen) const {
  if (gen == nullptr || gen->string() == nullptr) {
    sample.verdict = no_text(gen);
    return;
  }
  const ThoughtAndText parts = split_thinking(*gen->string());
  sample.text = parts.text;
  if (!parts.reasoning.empty()) sample.reasoning = parts.reasoning;
  if (py_strip(parts.text).empty()) {
    sample.verdict.outcome = Outcome::no_text;
    sample.verdict.reason = parts.unfinished ? "the thinking never ends" : "the text is empty";
  } else {
    sample.verdict = task_->score(row, parts.text);
  }
  if (sample.finish_reason == "length" && sample.verdict.acc == 0) {
    sample.verdict.reason += " (cut off by the limit of tokens)";
  }
}

void StandardScorer::score_row(Row& row) {
  if (row.value.find("gen") == nullptr) lines_without_gen_.push_back(row.line);
  if (row.value.find("answer") == nullptr) lines_without_answer_.push_back(row.line);
  PyList verdicts;
  double sum = 0;
  int64_t number = sample_number(row.value);
  for (const PyValue* gen : texts_of(row.value)) {
    SampleScore sample = builder_.begin_sample(row.value, row.line, number);
    number = -1;
    if (const auto known = seconds_.find(sample.id); known != seconds_.end()) {
      sample.seconds = known->second;
    }
    judge(sample, row.value, gen);
    sum += sample.verdict.acc;
    verdicts.push_back(as_detail(sample.verdict));
    builder_.add(std::move(sample));
  }
  if (options_.details_file.empty()) return;
  PyDict& detail = *row.value.dict();
  detail.set("acc", sum / static_cast<double>(verdicts.size()));
  detail.set("verdicts", std::move(verdicts));
  details_.push_back(std::move(row.value));
}

// A sample that failed and was answered later has a line in both files.
void StandardScorer::add_failures() {
  std::filesystem::path path = options_.failures_file;
  if (path.empty()) {
    path = failures_path(options_.input_file);
    if (!file_exists(path)) return;
  }
  for (const Row& row : read_rows(path).rows) {
    std::optional<SampleScore> sample = builder_.begin_failed(row.value, row.line);
    if (!sample) continue;
    sample->verdict.outcome = Outcome::failed;
    sample->verdict.reason = why_failed(row.value);
    const PyValue* kind = row.value.find("kind");
    if (kind != nullptr && kind->string() != nullptr) sample->failure_kind = *kind->string();
    builder_.add(std::move(*sample));
  }
}

std::optional<int64_t> StandardScorer::n_expected() const {
  if (options_.dataset_file.empty()) return std::nullopt;
  auto n_rows = static_cast<int64_t>(read_rows(options_.dataset_file).rows.size());
  if (options_.max_rows > 0) n_rows = std::min(n_rows, options_.max_rows);
  return n_rows * options_.n_samples;
}

ScoreResult StandardScorer::run() {
  make_folder_of(options_.details_file);
  RowFile file = read_rows(options_.input_file);
  for (Row& row : file.rows) score_row(row);
  add_failures();
  if (!options_.details_file.empty()) {
    write_details(options_.details_file, details_, DetailsStyle::standard);
  }
  ScoreResult result = builder_.finish(task_->attempts());
  result.torn_line = file.torn;
  result.unreadable_lines = std::move(file.unreadable);
  result.lines_without_gen = std::move(lines_without_gen_);
  result.lines_without_answer = std::move(lines_without_answer_);
  result.n_expected = n_expected();
  return result;
}

void check(const ScoreOptions& options) {
  QWEN3_CHECK(options.confidence > 0 && options.confidence < 1,
              ErrorKind::invalid_argument,
              "score: confidence: expected a number between 0 and 1; got {}",
              options.confidence);
  QWEN3_CHECK(options.resamples >= 1 && options.resamples <= 10'000'000,
              ErrorKind::invalid_argument,
              "score: resamples: expected 1 to 10000000; got {}",
              options.resamples);
  QWEN3_CHECK(options.n_samples >= 1 && options.n_samples <= 1'000'000,
              ErrorKind::invalid_argument,
              "score: n_samples: expected 1 to 1000000; got {}",
              options.n_samples);
  for (const int64_t k : options.pass_at) {
    QWEN3_CHECK(k >= 1, ErrorKind::invalid_argument, "score: pass@k: expected k >= 1; got {}", k);
  }
}

}  // namespace

bool ScoreResult::complete() const {
  return unreadable_lines.empty() && !torn_line && lines_without_gen.empty() &&
         lines_without_answer.empty() && count(Outcome::failed) == 0 &&
         (!n_expected || n_samples >= *n_expected);
}

ScoreResult score_standard(const ScoreOptions& options) { return StandardScorer(options).run(); }

ScoreResult score_file(const ScoreOptions& options) {
  check(options);
  return options.strict ? score_strict(options) : score_standard(options);
}

}  // namespace qwen3::eval
