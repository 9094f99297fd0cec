// How much memory this process may still use, so that a load that cannot fit is refused before it
// starts and not killed half-way.
#pragma once

#include <cstdint>
#include <string>

namespace qwen3 {

// The least of: MemAvailable of the system, what the control group (v1 or v2) leaves, and what
// RLIMIT_AS leaves. Limits that cannot be read do not count; INT64_MAX when none can.
int64_t available_memory_bytes();

// "16.4 GB" (powers of ten), "512 bytes" below one megabyte.
std::string format_bytes(int64_t bytes);

}  // namespace qwen3
