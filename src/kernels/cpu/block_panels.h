// Quantised weights into the panels of block_layout.h, and back.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/cpu/block_layout.h"
#include "tensor/weight.h"

namespace qwen3::cpu {

// Nothing for types that are not kept as they are.
std::optional<Blocks> blocks_of(WeightType type);

WeightFormat block_format(WeightType type, int64_t n_out, int64_t n_in);

// As pack_panels and read_row (panels.h). REQUIRES: blocks_of(type).
void pack_blocks(const Weight& matrix, const WeightRows& rows, int64_t row_begin);
void read_block_row(float* out, const Weight& matrix, int64_t row);

}  // namespace qwen3::cpu
