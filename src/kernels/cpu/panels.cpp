#include "kernels/cpu/panels.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/checked.h"

namespace qwen3::cpu {
namespace {

constexpr int64_t kPanelRows = 16;

// A column step of a panel is 16 dwords: one column of 4-byte elements or a pair of 2-byte ones.
// Either way a panel is a transposition of dwords.
constexpr int64_t kStepBytes = 4 * kPanelRows;

using Dwords = uint32_t __attribute__((vector_size(16)));

Dwords load_dwords(const std::byte* from) {
  Dwords value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// Four rows by four dwords. `to` steps by kStepBytes, `rows` by row_bytes.
void transpose_block(std::byte* to, const std::byte* rows, int64_t row_bytes) {
  const Dwords a = load_dwords(rows);
  const Dwords b = load_dwords(rows + row_bytes);
  const Dwords c = load_dwords(rows + 2 * row_bytes);
  const Dwords d = load_dwords(rows + 3 * row_bytes);
  const Dwords ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Dwords cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Dwords ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Dwords cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Dwords columns[4] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                             __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                             __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                             __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(to + i * kStepBytes, &columns[i], sizeof(Dwords));
}

// Columns in blocks of 16 dwords, one cache line of each row: rows a power of two apart share few
// sets of L1, so a line must be used up while it is there.
int64_t pack_whole_blocks(std::byte* panel,
                          const std::byte* rows,
                          int64_t row_bytes,
                          int64_t n_bytes) {
  int64_t at = 0;
  for (; at + kStepBytes <= n_bytes; at += kStepBytes) {
    for (int64_t row = 0; row < kPanelRows; row += 4) {
      for (int64_t column = at; column < at + kStepBytes; column += 16) {
        transpose_block(
            panel + column / 4 * kStepBytes + row * 4, rows + row * row_bytes + column, row_bytes);
      }
    }
  }
  return at / 4;
}

void pack_panel(
    std::byte* panel, const std::byte* rows, int64_t row_bytes, int64_t n_rows, int64_t n_bytes) {
  const int64_t n_whole = n_bytes / 4;
  const int64_t first =
      n_rows == kPanelRows ? pack_whole_blocks(panel, rows, row_bytes, n_bytes) : 0;
  for (int64_t step = first; step < ceil_div(n_bytes, 4); ++step) {
    for (int64_t r = 0; r < kPanelRows; ++r) {
      uint32_t value = 0;  // padding rows, and the second column of an odd last pair
      if (r < n_rows) {
        std::memcpy(&value, rows + r * row_bytes + step * 4, step < n_whole ? 4 : 2);
      }
      std::memcpy(panel + step * kStepBytes + r * 4, &value, 4);
    }
  }
}

}  // namespace

WeightFormat panel_format(WeightType type, int64_t n_out, int64_t n_in) {
  const int64_t panel_bytes = round_up(row_bytes(type, n_in), 4) * kPanelRows;
  return {.bytes = ceil_div(n_out, kPanelRows) * panel_bytes, .row_step = kPanelRows};
}

void pack_panels(const Weight& matrix, const WeightRows& rows, int64_t row_begin) {
  assert(matrix.type() == rows.type && matrix.n_in() == rows.n_in && row_begin % kPanelRows == 0);
  const int64_t n_bytes = row_bytes(rows.type, rows.n_in);
  const int64_t panel_bytes = round_up(n_bytes, 4) * kPanelRows;
  for (int64_t row = 0; row < rows.n_rows; row += kPanelRows) {
    pack_panel(matrix.data() + (row_begin + row) / kPanelRows * panel_bytes,
               rows.data + row * n_bytes,
               n_bytes,
               std::min(kPanelRows, rows.n_rows - row),
               n_bytes);
  }
}

void read_row(float* out, const Weight& matrix, int64_t row) {
  const int64_t n = matrix.n_in();
  const int64_t lane = row % kPanelRows;
  if (matrix.type() == WeightType::f32) {
    const float* panel = reinterpret_cast<const float*>(matrix.data()) + (row - lane) * n;
    for (int64_t i = 0; i < n; ++i) out[i] = panel[i * kPanelRows + lane];
    return;
  }
  const DType type = dtype_of(matrix.type());
  const auto* panel =
      reinterpret_cast<const uint16_t*>(matrix.data()) + (row - lane) * round_up(n, 2);
  for (int64_t i = 0; i < n; ++i) {
    out[i] = load_f32(panel, type, i / 2 * 2 * kPanelRows + lane * 2 + i % 2);
  }
}

}  // namespace qwen3::cpu
