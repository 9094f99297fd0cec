#include "formats/quantized/column_major.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace qwen3 {
namespace {

// Of rows put together in one go where a file has columns first.
constexpr int64_t kStripBytes = int64_t{4} << 20;
// Columns turned at a time: 64 bytes of a row are a cache line.
constexpr int64_t kTile = 64;
// Element j of a word of AWQ is this nibble of it.
constexpr std::array<int, 8> kAwqNibble = {0, 4, 1, 5, 2, 6, 3, 7};

size_t size_of(int64_t n) { return static_cast<size_t>(n); }

// Columns [begin, begin + count) of the first `n` rows of a matrix of words that is `width` wide.
std::vector<uint32_t> read_strip(const Part& part, int64_t n, int64_t width, WordRange columns) {
  std::vector<uint32_t> words(size_of(n * columns.count));
  if (columns.count == width) {
    part.read(0, std::span(words));
    return words;
  }
  for (int64_t i = 0; i < n; ++i) {
    part.read(i * width + columns.begin,
              std::span(words).subspan(size_of(i * columns.count), size_of(columns.count)));
  }
  return words;
}

}  // namespace

ColumnMajor::ColumnMajor(QuantizedMatrix m, Layout layout)
    : QuantizedRows(std::move(m)), layout_(layout) {}

int64_t ColumnMajor::row_step() const {
  constexpr int64_t kLeast = 256;  // rows: at least 128 bytes of a strip's line
  return std::max(kLeast, kStripBytes / row_bytes(type(), matrix().n_columns) / kLeast * kLeast);
}

void ColumnMajor::read_numbers(int64_t first_row, int64_t n_rows, uint8_t* to) const {
  const int64_t n_columns = matrix().n_columns;
  const int bits = matrix().bits, per_word = 32 / bits;
  const uint32_t mask = (1u << bits) - 1;
  if (layout_.awq) return read_awq_numbers(first_row, n_rows, to);
  const int64_t n_words = n_columns / per_word;
  const auto words = read_strip(layout_.numbers, n_words, matrix().n_rows, {first_row, n_rows});
  for (int64_t tile = 0; tile < n_words; tile += kTile / per_word) {
    const int64_t end = std::min(tile + kTile / per_word, n_words);
    for (int64_t row = 0; row < n_rows; ++row) {
      uint8_t* q = to + row * n_columns + tile * per_word;
      for (int64_t i = tile; i < end; ++i) {
        const uint32_t word = words[size_of(i * n_rows + row)];
        for (int j = 0; j < per_word; ++j) *q++ = static_cast<uint8_t>(word >> (bits * j) & mask);
      }
    }
  }
}

// A word has a column of eight rows: they are turned in tiles of 8 rows.
void ColumnMajor::read_awq_numbers(int64_t first_row, int64_t n_rows, uint8_t* to) const {
  const int64_t n_columns = matrix().n_columns;
  const WordRange range = words_of(first_row, n_rows, 8);
  const auto words = read_strip(layout_.numbers, n_columns, matrix().n_rows / 8, range);
  for (int64_t tile = 0; tile < n_columns; tile += kTile) {
    const int64_t n = std::min(kTile, n_columns - tile);
    for (int64_t w = 0; w < range.count; ++w) {
      uint8_t turned[8][kTile];
      for (int64_t i = 0; i < n; ++i) {
        const uint32_t word = words[size_of((tile + i) * range.count + w)];
        for (size_t j = 0; j < 8; ++j) turned[j][i] = word >> (4 * kAwqNibble[j]) & 15;
      }
      for (int64_t j = 0; j < 8; ++j) {
        const int64_t row = (range.begin + w) * 8 + j - first_row;
        if (row < 0 || row >= n_rows) continue;
        std::memcpy(to + row * n_columns + tile, turned[j], size_of(n));
      }
    }
  }
}

QuantizedRows::Groups ColumnMajor::read_groups(int64_t first_row, int64_t n_rows) const {
  const int64_t n = matrix().n_groups, width = matrix().n_rows;
  const int bits = matrix().bits, per_word = 32 / bits;
  Groups groups{.scales = std::vector<float>(size_of(n_rows * n)),
                .offsets = {},
                .zeros = std::vector<int32_t>(size_of(n_rows * n))};
  const WordRange range = words_of(first_row, n_rows, per_word);
  const auto words = read_strip(layout_.zeros, n, width / per_word, range);
  std::vector<float> line(size_of(n_rows));
  for (int64_t g = 0; g < n; ++g) {
    read_floats(layout_.scales, g * width + first_row, n_rows, line.data());
    for (int64_t row = 0; row < n_rows; ++row) {
      const int64_t at = first_row + row - range.begin * per_word;
      const auto j = static_cast<int>(at % per_word);
      const int shift = layout_.awq ? 4 * kAwqNibble[size_of(j)] : bits * j;
      const uint32_t word = words[size_of(g * range.count + at / per_word)];
      groups.scales[size_of(row * n + g)] = line[size_of(row)];
      groups.zeros[size_of(row * n + g)] =
          static_cast<int32_t>(word >> shift & ((1u << bits) - 1)) + layout_.add_to_zeros;
    }
  }
  return groups;
}

}  // namespace qwen3
