// How long work reports how far it is. The library never prints; the caller decides.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace qwen3 {

// Called from one thread at a time. `done` counts up to `total` in the unit of the work (bytes for
// loading). Empty when nobody listens.
using Progress = std::function<void(std::string_view what, int64_t done, int64_t total)>;

}  // namespace qwen3
