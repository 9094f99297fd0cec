// What a render has used up, where it stands, and how it fails.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/time_slice.h"
#include "base/utf8.h"
#include "chat/template.h"

namespace qwen3::jinja {

// The interpreter charges every node it evaluates, and every function charges the elements and
// bytes it touches before it touches them; so time and memory of a render are bounded by
// max_steps, whatever the template does.
class Meter {
 public:
  Meter(std::string_view where, const TemplateLimits& limits) : where_(where), limits_(limits) {}

  void charge(size_t steps) {
    const auto n = static_cast<int64_t>(std::min<size_t>(steps, 1u << 30));
    TimeSlice::spend(kUnitsOfStep * n);
    steps_ += n;
    if (steps_ > limits_.max_steps) {
      fail("more than {} steps; the template does too much work", limits_.max_steps);
    }
  }
  // For copying and searching, which handle 64 bytes in the time of one evaluated node.
  void charge_bytes(size_t bytes) { charge(1 + bytes / 64); }

  // Refuses a string of this size before it is made.
  void check_size(size_t bytes) const {
    if (bytes > static_cast<size_t>(limits_.max_output_bytes)) {
      fail("text longer than {} bytes", limits_.max_output_bytes);
    }
  }
  void check_depth(int depth) const {
    if (depth > limits_.max_depth) fail("values nested deeper than {}", limits_.max_depth);
  }

  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw_error(fmt::format(format, std::forward<Args>(args)...));
  }

  const TemplateLimits& limits() const { return limits_; }

  int line = 1;  // of the node being evaluated

 private:
  static constexpr int64_t kUnitsOfStep = 16;  // of a TimeSlice

  [[noreturn]] void throw_error(const std::string& what) const {
    // Templates and contexts may hold any bytes; messages end up in JSON replies.
    throw Error(ErrorKind::invalid_argument,
                utf8_lossy(fmt::format("{}: line {}: {}", where_, line, what)));
  }

  std::string_view where_;
  const TemplateLimits limits_;
  int64_t steps_ = 0;
};

}  // namespace qwen3::jinja
