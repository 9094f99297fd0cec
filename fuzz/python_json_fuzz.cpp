// Python's JSON: any bytes are read or refused; what was read writes, reads back equal, and fits
// the depth that was promised.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "eval/python/python_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace qwen3::eval;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  PyJsonProblem problem;
  const auto value = py_loads(text, &problem);
  if (!value) {
    if (problem.kind == PyJsonProblem::Kind::none || problem.message().empty()) abort();
    return 0;
  }
  if (py_depth(*value) > kPyMaxDepth) abort();
  const std::string written = py_dumps(*value);
  const auto again = py_loads(written);
  if (!again || py_dumps(*again) != written) abort();
  // NaN on its own is the one value that differs from itself.
  const bool nan = value->floating() != nullptr && *value->floating() != *value->floating();
  if (py_equal(*value, *again) == nan) abort();
  return 0;
}
