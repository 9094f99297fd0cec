// Quantised matrices of which columns come first: AWQ and GPTQ.
#pragma once

#include <cstdint>

#include "formats/quantized/rows.h"

namespace qwen3 {

// Columns come first, eight or four numbers in a word: GPTQ packs along columns, AWQ along rows. What
// groups share is [n_groups, n_rows]; zeros are packed along rows.
class ColumnMajor final : public QuantizedRows {
 public:
  struct Layout {
    bool awq = false;  // numbers [n_columns, n_rows / 8]; else [n_columns * bits / 32, n_rows]
    Part numbers = {}, scales = {}, zeros = {};
    int32_t add_to_zeros = 0;
  };
  ColumnMajor(QuantizedMatrix matrix, Layout layout);
  // A strip of columns of the file is as wide as rows are asked for: a matrix is read once.
  int64_t row_step() const override;

 private:
  void read_numbers(int64_t first_row, int64_t n_rows, uint8_t* to) const override;
  void read_awq_numbers(int64_t first_row, int64_t n_rows, uint8_t* to) const;
  Groups read_groups(int64_t first_row, int64_t n_rows) const override;

  Layout layout_;
};

}  // namespace qwen3
