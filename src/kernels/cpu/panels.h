// Weights into Layout::panel16 (tensor.h) and out of it.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace qwen3::cpu {

// Rows [row_begin, row_end) of row-major `matrix` into `packed`, a matrix in panels of the same
// shape and dtype. REQUIRES: row_begin a multiple of 16.
void pack_panels(const Tensor& packed, const Tensor& matrix, int64_t row_begin, int64_t row_end);

// One row of a weight in either layout, as float32.
void read_row(float* out, const Tensor& matrix, int64_t row);

}  // namespace qwen3::cpu
