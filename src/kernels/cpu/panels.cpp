#include "kernels/cpu/panels.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"

namespace qwen3::cpu {
namespace {

constexpr int64_t kPanelRows = 16;

// A column step of a panel is 16 dwords: one column of 4-byte elements or a pair of 2-byte ones.
// Either way a panel is a transposition of dwords. Columns are taken in blocks of 16, so that a
// block of sixteen cache lines in and out stays in L1.
void pack_panel(
    std::byte* panel, const std::byte* rows, int64_t row_bytes, int64_t n_rows, int64_t n_bytes) {
  constexpr int64_t kBlock = 16;
  const int64_t n_whole = n_bytes / 4;
  const int64_t n_steps = ceil_div(n_bytes, 4);
  for (int64_t begin = 0; begin < n_steps; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, n_steps);
    for (int64_t r = 0; r < kPanelRows; ++r) {
      for (int64_t step = begin; step < end; ++step) {
        uint32_t value = 0;  // padding rows, and the second column of an odd last pair
        if (r < n_rows) {
          const std::byte* source = rows + r * row_bytes + step * 4;
          std::memcpy(&value, source, step < n_whole ? 4 : 2);
        }
        std::memcpy(panel + (step * kPanelRows + r) * 4, &value, 4);
      }
    }
  }
}

}  // namespace

void pack_panels(const Tensor& packed, const Tensor& matrix, int64_t row_begin, int64_t row_end) {
  const int64_t element = dtype_size(matrix.dtype());
  const int64_t n_bytes = matrix.dim(1) * element;
  const int64_t row_bytes = matrix.row_stride() * element;
  const int64_t panel_bytes = round_up(n_bytes, 4) * kPanelRows;
  for (int64_t row = row_begin; row < row_end; row += kPanelRows) {
    pack_panel(static_cast<std::byte*>(packed.data()) + row / kPanelRows * panel_bytes,
               static_cast<const std::byte*>(matrix.data()) + row * row_bytes,
               row_bytes,
               std::min(kPanelRows, row_end - row),
               n_bytes);
  }
}

void read_row(float* out, const Tensor& matrix, int64_t row) {
  const int64_t n = matrix.dim(1);
  const DType type = matrix.dtype();
  if (matrix.layout() == Layout::row_major) {
    const int64_t begin = row * matrix.row_stride();
    for (int64_t i = 0; i < n; ++i) out[i] = load_f32(matrix.data(), type, begin + i);
    return;
  }
  const int64_t lane = row % kPanelRows;
  if (type == DType::f32) {
    const float* panel = static_cast<const float*>(matrix.data()) + (row - lane) * n;
    for (int64_t i = 0; i < n; ++i) out[i] = panel[i * kPanelRows + lane];
    return;
  }
  const uint16_t* panel =
      static_cast<const uint16_t*>(matrix.data()) + (row - lane) * round_up(n, 2);
  for (int64_t i = 0; i < n; ++i) {
    out[i] = load_f32(panel, type, i / 2 * 2 * kPanelRows + lane * 2 + i % 2);
  }
}

}  // namespace qwen3::cpu
