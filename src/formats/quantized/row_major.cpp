#include "formats/quantized/row_major.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/checked.h"

namespace qwen3 {
namespace {

size_t size_of(int64_t n) { return static_cast<size_t>(n); }

// `n` numbers of `bits` bits each from a stream; one more byte than the stream has may be read.
void unpack_bits(uint8_t* to, const uint8_t* stream, int64_t n, int bits) {
  if (bits == 8) {
    std::memcpy(to, stream, size_of(n));
    return;
  }
  if (bits == 4) {
    for (int64_t i = 0; i < n / 2; ++i) {
      to[2 * i] = stream[i] & 15;
      to[2 * i + 1] = stream[i] >> 4;
    }
    if (n % 2 != 0) to[n - 1] = stream[n / 2] & 15;
    return;
  }
  const int mask = (1 << bits) - 1;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t bit = i * bits;
    const int two_bytes = stream[bit / 8] | stream[bit / 8 + 1] << 8;
    to[i] = static_cast<uint8_t>(two_bytes >> (bit % 8) & mask);
  }
}

}  // namespace

RowMajor::RowMajor(QuantizedMatrix m, Layout layout)
    : QuantizedRows(std::move(m)), layout_(layout) {}

void RowMajor::read_numbers(int64_t first_row, int64_t n_rows, uint8_t* to) const {
  const int64_t n_columns = matrix().n_columns;
  std::vector<uint8_t> streams(size_of(n_rows * layout_.row_bytes + 1));
  layout_.numbers.file->read(layout_.numbers.begin + first_row * layout_.row_bytes,
                             std::as_writable_bytes(std::span(streams).first(streams.size() - 1)));
  for (int64_t row = 0; row < n_rows; ++row) {
    unpack_bits(
        to + row * n_columns, streams.data() + row * layout_.row_bytes, n_columns, matrix().bits);
  }
  if (!layout_.is_signed) return;
  for (int64_t i = 0; i < n_rows * n_columns; ++i) to[i] ^= 0x80;
}

// Each row its own copy, though several may share one.
QuantizedRows::Groups RowMajor::read_groups(int64_t first_row, int64_t n_rows) const {
  const int64_t n = matrix().n_groups, step = layout_.scale_rows;
  const auto read = [&](const Part& part) {
    std::vector<float> stored, floats(size_of(n_rows * n));
    const int64_t first = first_row / step, end = ceil_div(first_row + n_rows, step);
    stored.resize(size_of((end - first) * n));
    read_floats(part, first * n, (end - first) * n, stored.data());
    for (int64_t row = 0; row < n_rows; ++row) {
      std::copy_n(
          stored.begin() + ((first_row + row) / step - first) * n, n, floats.begin() + row * n);
    }
    return floats;
  };
  Groups groups{.scales = read(layout_.scales), .offsets = {}, .zeros = {}};
  if (layout_.offsets) groups.offsets = read(layout_.offsets);
  if (layout_.zeros) {
    groups.zeros.resize(size_of(n_rows * n));
    read_zeros(first_row, n_rows, groups.zeros);
  } else if (layout_.zero != 0) {
    groups.zeros.assign(size_of(n_rows * n), layout_.zero);
  }
  return groups;
}

void RowMajor::read_zeros(int64_t first_row, int64_t n_rows, std::vector<int32_t>& zeros) const {
  const int64_t n = matrix().n_groups;
  if (layout_.zeros.dtype == "I8") {
    const int64_t step = layout_.scale_rows;
    const int64_t first = first_row / step, end = ceil_div(first_row + n_rows, step);
    std::vector<int8_t> bytes(size_of((end - first) * n));
    layout_.zeros.read(first * n, std::span(bytes));
    for (int64_t row = 0; row < n_rows; ++row) {
      for (int64_t g = 0; g < n; ++g) {
        zeros[size_of(row * n + g)] =
            bytes[size_of(((first_row + row) / step - first) * n + g)] + layout_.zero;
      }
    }
    return;
  }
  const int bits = matrix().bits, per_word = 32 / bits;
  const auto [begin, count] = words_of(first_row, n_rows, per_word);
  std::vector<uint32_t> words(size_of(count * n));
  layout_.zeros.read(begin * n, std::span(words));
  for (int64_t row = 0; row < n_rows; ++row) {
    const int64_t at = first_row + row - begin * per_word;
    for (int64_t g = 0; g < n; ++g) {
      const uint32_t word = words[size_of(at / per_word * n + g)];
      zeros[size_of(row * n + g)] =
          static_cast<int32_t>(word >> (at % per_word * bits) & ((1u << bits) - 1));
    }
  }
}

}  // namespace qwen3
