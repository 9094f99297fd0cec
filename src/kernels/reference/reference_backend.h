// The oracle: plain float32 loops that read like the equations, one thread, row-major weights.
// Slow on purpose, yet complete: every model runs on it.
#pragma once

#include <memory>
#include <span>

#include "kernels/backend.h"

namespace qwen3 {

std::unique_ptr<Backend> make_reference_backend();

// Rows of float32 as a weight of this backend, which keeps rows as files have them: a view.
Weight reference_weight(std::span<float> rows, Shape shape);

}  // namespace qwen3
