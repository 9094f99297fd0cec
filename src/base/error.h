// fail() and QWEN3_CHECK: how the library reports that an operation ends here.
//
//   QWEN3_CHECK(
//       n > 0, ErrorKind::invalid_argument, "config.json: num_experts: expected > 0, got {}", n);
//
// Checks are on in every build. `assert` is for inner loops whose inputs are already checked.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "qwen3/error.h"

namespace qwen3 {

// Throws Error with a formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace qwen3

#define QWEN3_CHECK(condition, kind, ...)               \
  do {                                                  \
    if (!(condition)) ::qwen3::fail(kind, __VA_ARGS__); \
  } while (false)
