// The way back from blocks.h: float32 numbers into ggml's blocks, with as little error as their bits
// allow.
//
// Rounding is only half of it: which scale a block gets decides what the rest can be. Of each block
// the weighted error Σ w_i (x_i - x̂_i)² is made small by search (tensor/quantize/fit.h), and of the
// super-blocks, whose groups share a scale of scales, the groups' integers and the float16 scales are
// fitted together, in turns. w_i follows how strongly an input is used (`importance`), if that is
// known. The same input gives the same bytes on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/weight.h"

namespace qwen3 {

// Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K, and the plain types.
bool can_quantize(WeightType type);

// One row of n finite numbers as whole blocks of `type` into `to` (row_bytes). `importance`: of each
// column the mean square of its inputs, n finite numbers >= 0, or none. Numbers beyond float16's range
// are not for blocks: the scales would be infinite, which widen() shows and all_finite() finds.
// REQUIRES: can_quantize(type), n of whole blocks.
void quantize_row(std::byte* to,
                  WeightType type,
                  std::span<const float> x,
                  std::span<const float> importance);

}  // namespace qwen3
