// Every task judges any text against any truth without throwing, and its verdict holds together.
// The input is the row's answer as JSON, a zero byte, and the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "eval/python/python_text.h"
#include "eval/score/score_rows.h"
#include "eval/tasks/task.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace qwen3::eval;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  if (zero == std::string_view::npos) return 0;
  PyDict row;
  row.set("answer", py_loads(input.substr(0, zero)).value_or(PyValue(input.substr(0, zero))));
  const std::string_view text = split_thinking(input.substr(zero + 1)).text;
  for (const TaskInfo& info : all_tasks()) {
    for (const bool lenient : {false, true}) {
      const Verdict verdict = info.make({.lenient = lenient})->score(row, text);
      const bool correct = verdict.outcome == Outcome::correct;
      if (verdict.acc != (correct ? 1 : 0) || verdict.reason.empty()) abort();
      if (correct && !verdict.prediction) abort();
    }
  }
  return 0;
}
