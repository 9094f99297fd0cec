// Against the official scorer: thousands of texts, JSON texts, comparisons and whole files, with
// what CPython and the official program made of them (tests/data/eval_golden/make.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/sha256.h"
#include "eval/python/python_json.h"
#include "eval/python/python_text.h"
#include "eval/run/line_scanner.h"
#include "eval/score/score.h"
#include "eval/score/score_text.h"
#include "eval/tasks/arc_grid.h"
#include "qwen3/error.h"
#include "support/temp_dir.h"

namespace qwen3::eval {
namespace {

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string golden_path(const std::string& name) {
  return std::string(QWEN3_SOURCE_DIR) + "/tests/data/eval_golden/" + name;
}

std::vector<std::string> golden_lines(const std::string& name) {
  const InputFile file(golden_path(name));
  LineScanner scanner(file, kMaxLineBytes, LineScanner::Ends::python);
  LineScanner::Line line;
  std::vector<std::string> lines;
  while (scanner.next(line)) lines.emplace_back(line.text);
  return lines;
}

std::vector<PyList> golden_lists(const std::string& name) {
  std::vector<PyList> lists;
  for (const std::string& line : golden_lines(name)) lists.push_back(*py_load(line, name).list());
  return lists;
}

TEST(OfficialRules, ReadAndScoreEveryAnswerAlike) {
  const auto task = make_task("arc_agi_1");
  const auto cases = golden_lists("answers.jsonl");
  ASSERT_GE(cases.size(), 5000u);
  int n_correct = 0;
  for (const PyList& test : cases) {
    const std::string& text = *test[0].string();
    const GridAnswer read = read_grid_answer(after_official_thinking(text));
    SCOPED_TRACE(py_dumps(test[0]).substr(0, 300));
    if (test[2].string() != nullptr) {
      const bool deep = *test[2].string() == "RecursionError";
      EXPECT_FALSE(read.value.has_value());
      EXPECT_EQ(read.problem.kind,
                deep ? PyJsonProblem::Kind::too_deep : PyJsonProblem::Kind::too_many_digits);
      continue;
    }
    const bool parsed = read.value.has_value() && !read.value->is_null();
    ASSERT_EQ(parsed, test[3].string() != nullptr);
    if (parsed) {
      EXPECT_EQ(py_dumps(*read.value), *test[3].string());
    }
    PyDict row;
    row.set("answer", test[1]);
    const Verdict verdict = task->score(row, after_official_thinking(text));
    EXPECT_EQ(verdict.acc, *test[2].floating());
    EXPECT_EQ(verdict.outcome == Outcome::correct, verdict.acc == 1);
    EXPECT_FALSE(verdict.reason.empty());
    n_correct += verdict.acc == 1;
  }
  EXPECT_GT(n_correct, 1000);
}

TEST(OfficialRules, JsonTextsAreReadAndWrittenAlike) {
  const auto cases = golden_lists("json.jsonl");
  ASSERT_GE(cases.size(), 2000u);
  for (const PyList& test : cases) {
    PyJsonProblem problem;
    const auto value = py_loads(*test[0].string(), &problem);
    SCOPED_TRACE(py_dumps(test[0]));
    ASSERT_EQ(value.has_value(), !test[1].is_null()) << problem.message();
    if (!value) {
      EXPECT_EQ(problem.message(), *test[2].string());
      continue;
    }
    EXPECT_EQ(py_dumps(*value), *test[1].string());
    EXPECT_EQ(py_truthy(*value), *test[2].boolean());
  }
}

TEST(OfficialRules, ValuesAreEqualAlike) {
  const auto cases = golden_lists("equal.jsonl");
  ASSERT_GE(cases.size(), 1000u);
  for (const PyList& test : cases) {
    const PyValue a = py_load(*test[0].string(), "a"), b = py_load(*test[1].string(), "b");
    EXPECT_EQ(py_equal(a, b), *test[2].boolean()) << py_dumps(test);
    // The key speaks for values inside a container, where NaN is itself.
    const bool nan = a.floating() && b.floating() && *a.floating() != *a.floating() &&
                     *b.floating() != *b.floating();
    EXPECT_EQ(py_equality_key(a) == py_equality_key(b), *test[2].boolean() || nan)
        << py_dumps(test);
  }
}

// rows.jsonl with the changes of a line of files.jsonl, as make.py builds it.
std::string build_file(const std::vector<std::string>& rows, const PyValue& test) {
  std::vector<std::string> lines = rows;
  for (const PyMember& change : test.find("lines")->dict()->members()) {
    const auto number = static_cast<size_t>(std::stoul(change.key));
    lines.at(number - 1) = *change.value.string();
  }
  lines.resize(static_cast<size_t>(*test.find("cut")->integer()));
  std::string text;
  for (const std::string& line : lines) text += line + *test.find("end")->string();
  std::string append = *test.find("append")->string();
  // Python's surrogateescape stands for a byte that is no UTF-8.
  const size_t escaped = append.find("\xED\xB3\xBF");
  if (escaped != std::string::npos) append.replace(escaped, 3, "\xFF");
  return text + append;
}

TEST(OfficialRules, WholeFilesAreScoredAlike) {
  const std::vector<std::string> rows = golden_lines("rows.jsonl");
  ASSERT_EQ(rows.size(), 419u);
  int n_scored = 0, n_failed = 0;
  for (const std::string& line : golden_lines("files.jsonl")) {
    const PyValue test = py_load(line, "files.jsonl");
    SCOPED_TRACE(*test.find("name")->string());
    const test::TempDir folder;
    ScoreOptions options;
    options.input_file = folder.write("in.jsonl", build_file(rows, test));
    options.details_file = folder.path() / "out/details.jsonl";
    options.strict = true;
    options.resamples = 1;
    if (test.find("error")->is_null()) {
      EXPECT_EQ(official_line(score_file(options)), *test.find("out")->string());
      ++n_scored;
    } else {
      try {
        const ScoreResult result = score_file(options);
        ADD_FAILURE() << "expected " << *test.find("error")->string() << "; got "
                      << official_line(result);
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr(*test.find("error")->string() + ":"));
      }
      ++n_failed;
    }
    const std::string* details = test.find("details")->string();
    ASSERT_EQ(std::filesystem::exists(options.details_file), details != nullptr);
    if (details == nullptr) continue;
    const std::string written = read_bytes(options.details_file);
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(written))), *details);
  }
  EXPECT_GT(n_scored, 30);
  EXPECT_GT(n_failed, 20);
}

TEST(OfficialRules, StrictKnowsOneTask) {
  ScoreOptions options;
  options.input_file = golden_path("rows.jsonl");
  options.strict = true;
  options.task = "nano_arc";
  EXPECT_THROW(score_file(options), Error);
}

// The two searches on texts that make a backtracking engine quadratic; that would take minutes.
TEST(OfficialRules, SearchesAreLinear) {
  const auto repeated = [](std::string_view piece, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += piece;
    return text;
  };
  EXPECT_EQ(find_fenced_blocks(repeated("```json ", 400'000)).size(), 200'000u);
  EXPECT_TRUE(find_fenced_blocks("```json" + repeated(" ", 3'000'000)).empty());
  EXPECT_TRUE(find_fenced_blocks(repeated("```", 1'000'000)).empty());
  EXPECT_TRUE(find_bracketed_arrays(repeated("[[", 1'500'000)).empty());
  EXPECT_TRUE(find_bracketed_arrays(repeated("[[1]x", 600'000)).empty());
  EXPECT_TRUE(find_bracketed_arrays(repeated("[[1 ", 600'000)).empty());
  EXPECT_EQ(find_bracketed_arrays(repeated("[[1]] x", 300'000)).size(), 300'000u);
  EXPECT_EQ(find_bracketed_arrays(repeated("[[1]] ", 300'000)).size(), 1u);
}

TEST(OfficialRules, SearchesFindWhatThePatternsFind) {
  using testing::ElementsAre;
  using testing::IsEmpty;
  EXPECT_THAT(find_fenced_blocks("```json\n1\n``` x ```python 2```"), ElementsAre("1", "2"));
  EXPECT_THAT(find_fenced_blocks("```json```"), ElementsAre(""));
  EXPECT_THAT(find_fenced_blocks("````json x`````"), ElementsAre("x"));
  EXPECT_THAT(find_fenced_blocks("```jsonc\n1```"), ElementsAre("c\n1"));
  EXPECT_THAT(find_fenced_blocks("```json\xC2\xA0\xE3\x80\x80 1\xE2\x80\xA8```"), ElementsAre("1"));
  EXPECT_THAT(find_fenced_blocks("```json\xE2\x80\x8B ```"), ElementsAre("\xE2\x80\x8B"));
  EXPECT_THAT(find_fenced_blocks("```JSON\n1```"), IsEmpty());
  EXPECT_THAT(find_bracketed_arrays("[[]]"), ElementsAre("[[]]"));
  EXPECT_THAT(find_bracketed_arrays("[[]"), IsEmpty());
  EXPECT_THAT(find_bracketed_arrays("[[[1]]] a [[2]"), ElementsAre("[[[1]]]"));
  EXPECT_THAT(find_bracketed_arrays("[[1]] [[2]]"), ElementsAre("[[1]] [[2]]"));
  EXPECT_THAT(find_bracketed_arrays("[[\xD9\xA3]]"), ElementsAre("[[\xD9\xA3]]"));  // a digit three
  EXPECT_THAT(find_bracketed_arrays("[[\xC2\xB2]]"), IsEmpty());  // superscript two
  EXPECT_THAT(find_bracketed_arrays("[[-1]]"), IsEmpty());
}

}  // namespace
}  // namespace qwen3::eval
