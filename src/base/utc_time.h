// Moments in UTC as ISO 8601, for logs and records.
#pragma once

#include <chrono>
#include <string>

namespace qwen3 {

enum class UtcPrecision { seconds, milliseconds };

// "2026-11-24T17:19:02Z", or "2026-11-24T17:19:02.250Z".
std::string utc_text(std::chrono::system_clock::time_point time, UtcPrecision precision);

}  // namespace qwen3
