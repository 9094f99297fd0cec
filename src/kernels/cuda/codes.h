// Quantised weights as the card keeps them (layout.h, Layout::codes): made on the host from a file's blocks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/layout.h"
#include "tensor/weight.h"

namespace qwen3::cuda {

// In what codes a type is kept. `none`: in none.
//   4 bits   Q4_0, Q4_1, Q4_K, int4
//   8 bits   Q5_0, Q5_1, Q5_K, Q8_0, int8, and with a scale for 16: Q3_K, Q6_K; fp8
Coding coding_of(WeightType type);

// Bytes of a matrix. REQUIRES: whole units of columns.
int64_t coded_bytes(Coding coding, int64_t n_out, int64_t n_in);

// `n_rows` rows of blocks, from a multiple of 16 on, to where their tiles lie. What is missing in the last
// tile is zero.
void pack_codes(
    std::byte* to, WeightType type, const std::byte* rows, int64_t n_rows, int64_t n_in);

}  // namespace qwen3::cuda
