// Weights into Layout::panel16 (tensor.h) and out of it.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace qwen3::cpu {

// Row-major `rows` [n, in] into rows [row_begin, row_begin + n) of `packed`, a matrix in panels of
// the same dtype. REQUIRES: row_begin a multiple of 16.
void pack_panels(const Tensor& packed, const Tensor& rows, int64_t row_begin);

// One row of a weight in either layout, as float32.
void read_row(float* out, const Tensor& matrix, int64_t row);

}  // namespace qwen3::cpu
