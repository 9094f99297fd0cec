// The layout of weights on processors. Panels of 16 output rows, `in` running inside a panel, so that
// one vector register holds the same column of 16 rows (pairs of columns for 16-bit types). Rows are
// padded with zeros to a multiple of 16, columns to a multiple of 2 (16-bit types):
//
//   f32        [out/16][in]  [16]      element (row, col) at ((row/16)*in + col)*16 + row%16
//   bf16, f16  [out/16][in/2][16][2]   element (row, col) at ((row/16)*in/2 + col/2)*32 + row%16*2 + col%2
//
// where `in` is already padded. Experts follow each other, each padded by itself.
#pragma once

#include <cstdint>

#include "tensor/weight.h"

namespace qwen3::cpu {

WeightFormat panel_format(WeightType type, int64_t n_out, int64_t n_in);

// `rows` into rows [row_begin, row_begin + n_rows) of `matrix`, which is of the same type. REQUIRES:
// row_begin a multiple of 16.
void pack_panels(const Weight& matrix, const WeightRows& rows, int64_t row_begin);

// One row of a matrix in panels, as float32.
void read_row(float* out, const Weight& matrix, int64_t row);

}  // namespace qwen3::cpu
