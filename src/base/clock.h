// The clock of everything that is measured or waited for: nobody sets it.
#pragma once

#include <chrono>

namespace qwen3 {

using Clock = std::chrono::steady_clock;

}  // namespace qwen3
