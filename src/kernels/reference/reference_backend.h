// The oracle: plain float32 loops that read like the equations, one thread, row-major weights.
// Slow on purpose, yet complete: every model runs on it.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace qwen3 {

std::unique_ptr<Backend> make_reference_backend();

}  // namespace qwen3
