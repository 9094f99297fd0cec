// Quantised matrices that lie in rows: compressed-tensors, MLX, FP8.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/quantized/rows.h"

namespace qwen3 {

// Rows lie one after the other, each a dense little-endian stream of bits. What groups share lies in rows as well.
class RowMajor final : public QuantizedRows {
 public:
  struct Layout {
    Part numbers = {};
    int64_t row_bytes = 0;
    bool is_signed = false;  // I8: q + 128 is used in place of q
    Part scales = {};        // [ceil(n_rows / scale_rows), n_groups]
    int64_t scale_rows = 1;
    Part offsets = {};  // as the scales
    Part zeros =
        {};  // I8 as the scales, or I32 [ceil(n_rows * bits / 32), n_groups]: packed along rows
    int32_t zero = 0;  // where there are none
  };
  RowMajor(QuantizedMatrix matrix, Layout layout);

 private:
  void read_numbers(int64_t first_row, int64_t n_rows, uint8_t* to) const override;
  Groups read_groups(int64_t first_row, int64_t n_rows) const override;
  void read_zeros(int64_t first_row, int64_t n_rows, std::vector<int32_t>& zeros) const;

  Layout layout_;
};

}  // namespace qwen3
