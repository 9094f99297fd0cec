#include "eval/score/arc_prompts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/output_file.h"
#include "eval/python/python_json.h"

namespace qwen3::eval {
namespace {

constexpr size_t kMaxFileBytes = 16 << 20;
constexpr size_t kMaxSide = 100;

constexpr std::string_view kRule = "\n----------------------------------------\n";
// The wording is the data set's own.
constexpr std::string_view kIntroduction =
    "Here are the example input and output pairs from which you should learn the underlying rule "
    "to later predict the output for the given test input:";
constexpr std::string_view kTurn =
    "Now, solve the following puzzle based on its input grid by applying the rules you have "
    "learned from the training data.:";
constexpr std::string_view kQuestion =
    "What is the output grid? Your final answer should provide the output grid in the form as in "
    "the example input and output pairs, e.g. :\n```json\n[\n    [0, 0],\n    [0, 0]\n]\n```";

void append_grid(std::string& out, std::string_view name, const Grid& grid) {
  out += fmt::format("  \"{}\": [", name);
  const char* separator = "\n";
  for (const std::vector<int>& row : grid) {
    out += fmt::format("{}    [{}]", separator, fmt::join(row, ", "));
    separator = ",\n";
  }
  out += "\n  ]";
}

void append_pair(std::string& out, const Grid& input, const Grid& output) {
  out += "{\n";
  append_grid(out, "input", input);
  out += ",\n";
  append_grid(out, "output", output);
  out += "\n}";
}

const Json& member(const Json& object, const char* key, const std::string& where) {
  const bool there = object.is_object() && object.contains(key);
  QWEN3_CHECK(there, ErrorKind::corrupt_file, "{}: expected an object with \"{}\"", where, key);
  return object[key];
}

Grid read_grid(const Json& json, const std::string& where) {
  const bool sized = json.is_array() && !json.empty() && json.size() <= kMaxSide &&
                     json[0].is_array() && !json[0].empty() && json[0].size() <= kMaxSide;
  QWEN3_CHECK(sized,
              ErrorKind::corrupt_file,
              "{}: expected a grid of 1 to {} rows and columns; got {}",
              where,
              kMaxSide,
              quote_for_message(dump_json(json), 60));
  Grid grid;
  for (const Json& row : json) {
    QWEN3_CHECK(row.is_array() && row.size() == json[0].size(),
                ErrorKind::corrupt_file,
                "{}[{}]: expected a row of {} cells; got {}",
                where,
                grid.size(),
                json[0].size(),
                quote_for_message(dump_json(row), 60));
    std::vector<int> cells;
    for (const Json& cell : row) {
      QWEN3_CHECK(cell.is_number_integer() && cell >= 0 && cell <= 9,
                  ErrorKind::corrupt_file,
                  "{}[{}][{}]: expected an integer from 0 to 9; got {}",
                  where,
                  grid.size(),
                  cells.size(),
                  quote_for_message(dump_json(cell), 60));
      cells.push_back(cell.get<int>());
    }
    grid.push_back(std::move(cells));
  }
  return grid;
}

const Json& pairs_of(const Json& task, const char* key, const std::string& where) {
  const Json& pairs = member(task, key, where);
  QWEN3_CHECK(pairs.is_array() && !pairs.empty(),
              ErrorKind::corrupt_file,
              "{}: \"{}\": expected a list of pairs; got {}",
              where,
              key,
              quote_for_message(dump_json(pairs), 60));
  return pairs;
}

PyValue grid_value(const Grid& grid) {
  PyList rows;
  for (const std::vector<int>& row : grid) rows.emplace_back(PyList(row.begin(), row.end()));
  return rows;
}

// The rows of one task file, each with its line end.
std::string task_rows(const std::filesystem::path& path, int64_t& n_rows) {
  const std::string where = path.string();
  const Json task = parse_json(read_text_file(path, kMaxFileBytes), where);
  std::vector<ArcPair> train;
  for (const Json& pair : pairs_of(task, "train", where)) {
    const std::string place = fmt::format("{}: train[{}]", where, train.size());
    train.push_back({read_grid(member(pair, "input", place), place + ".input"),
                     read_grid(member(pair, "output", place), place + ".output")});
  }
  std::string rows;
  int64_t n_tests = 0;
  for (const Json& pair : pairs_of(task, "test", where)) {
    const std::string place = fmt::format("{}: test[{}]", where, n_tests++);
    const Grid input = read_grid(member(pair, "input", place), place + ".input");
    PyDict row;
    row.set("prompt", arc_prompt(train, input));
    const bool known = pair.contains("output") && !pair["output"].is_null();
    row.set("answer", known ? grid_value(read_grid(pair["output"], place + ".output")) : PyValue());
    row.set("task_id", path.stem().string());
    rows += py_dumps(row) + "\n";
  }
  n_rows += n_tests;
  return rows;
}

std::vector<std::filesystem::path> task_files(const std::filesystem::path& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".json") files.push_back(it->path());
  }
  QWEN3_CHECK(!error,
              ErrorKind::not_found,
              "{}: cannot read the folder of tasks: {}",
              folder.string(),
              error.message());
  QWEN3_CHECK(!files.empty(),
              ErrorKind::not_found,
              "{}: expected task files *.json; got none",
              folder.string());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string arc_prompt(const std::vector<ArcPair>& train, const Grid& test_input) {
  std::string prompt(kIntroduction);
  prompt += kRule;
  for (const ArcPair& pair : train) {
    if (&pair != &train.front()) prompt += "\n\n";
    append_pair(prompt, pair.input, pair.output);
  }
  prompt.append(kRule).append(kTurn).append(kRule);
  append_pair(prompt, test_input, {{}});
  return prompt.append(kRule).append(kQuestion);
}

ArcCounts write_arc_prompts(const std::filesystem::path& tasks, const std::filesystem::path& out) {
  ArcCounts counts;
  std::string rows;
  for (const std::filesystem::path& file : task_files(tasks)) {
    rows += task_rows(file, counts.rows);
    ++counts.tasks;
  }
  OutputFile output(out);
  output.write(rows);
  output.commit();
  return counts;
}

}  // namespace qwen3::eval
