#include "base/utc_time.h"

#include <fmt/format.h>

#include <ctime>

namespace qwen3 {

std::string utc_text(std::chrono::system_clock::time_point time, UtcPrecision precision) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  const std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
                                       utc.tm_year + 1900,
                                       utc.tm_mon + 1,
                                       utc.tm_mday,
                                       utc.tm_hour,
                                       utc.tm_min,
                                       utc.tm_sec);
  return precision == UtcPrecision::seconds ? text + "Z"
                                            : fmt::format("{}.{:03}Z", text, ms % 1000);
}

}  // namespace qwen3
