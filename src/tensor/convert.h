// Conversion of runs of numbers between the floating-point element types.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace qwen3 {

// to[i] = from[i] for i in [0, n): exact towards float32, round to nearest even otherwise. Both
// ends are f32, bf16 or f16, aligned to their element, and do not overlap.
void convert_elements(void* to, DType to_type, const void* from, DType from_type, int64_t n);

// Whether none of `n` elements of such a type is NaN or infinite.
bool all_finite(const void* elements, DType type, int64_t n);

}  // namespace qwen3
