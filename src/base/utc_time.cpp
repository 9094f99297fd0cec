#include "base/utc_time.h"

#include <fmt/chrono.h>

#include <ctime>

namespace qwen3 {

std::string utc_text(std::chrono::system_clock::time_point time, UtcPrecision precision) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::string text =
      fmt::format("{:%FT%T}", fmt::gmtime(static_cast<std::time_t>(ms / 1000)));
  return precision == UtcPrecision::seconds ? text + "Z"
                                            : fmt::format("{}.{:03}Z", text, ms % 1000);
}

}  // namespace qwen3
