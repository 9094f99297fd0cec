#include "formats/quantized/rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "tensor/blocks.h"
#include "tensor/convert.h"

namespace qwen3 {
namespace {

constexpr int64_t kBlock = 32;
// Of rows put together in one go where a file has columns first.
constexpr int64_t kStripBytes = int64_t{4} << 20;
// Columns turned at a time: 64 bytes of a row are a cache line.
constexpr int64_t kTile = 64;
// Element j of a word of AWQ is this nibble of it.
constexpr std::array<int, 8> kAwqNibble = {0, 4, 1, 5, 2, 6, 3, 7};

size_t size_of(int64_t n) { return static_cast<size_t>(n); }

std::string part_name(const QuantizedMatrix& matrix, const Part& part) {
  return fmt::format(
      "{}: tensor {}.{}", part.file->name(), quote_for_message(matrix.module, 200), part.suffix);
}

template <typename T>
void read_array(const Part& part, int64_t first, std::span<T> to) {
  part.file->read(part.begin + first * static_cast<int64_t>(sizeof(T)), std::as_writable_bytes(to));
}

// The group of each column.
std::vector<int32_t> groups_of_columns(const QuantizedMatrix& m) {
  std::vector<int32_t> groups(size_of(m.n_columns));
  if (!m.group_index) {
    for (int64_t i = 0; i < m.n_columns; ++i) {
      groups[size_of(i)] = static_cast<int32_t>(i / m.group_size);
    }
    return groups;
  }
  read_array(m.group_index, 0, std::span(groups));
  for (size_t i = 0; i < groups.size(); ++i) {
    QWEN3_CHECK(groups[i] >= 0 && groups[i] < m.n_groups,
                ErrorKind::corrupt_file,
                "{}: element {}: expected a group below {}, got {}; is the file damaged?",
                part_name(m, m.group_index),
                i,
                m.n_groups,
                groups[i]);
  }
  return groups;
}

bool blocks_share_groups(const std::vector<int32_t>& groups) {
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] != groups[i / kBlock * kBlock]) return false;
  }
  return true;
}

const std::array<float, 256>& e4m3_table() {
  static const std::array<float, 256> kTable = [] {
    std::array<float, 256> table{};
    constexpr auto kBytes = static_cast<size_t>(block_of(WeightType::fp8).bytes);
    std::array<std::byte, 256 / kBlock * kBytes> blocks{};
    const float one = 1;
    for (size_t i = 0; i < 256; ++i) {
      std::byte* const block = blocks.data() + i / kBlock * kBytes;
      std::memcpy(block, &one, sizeof one);
      block[sizeof one + i % kBlock] = static_cast<std::byte>(i);
    }
    widen(table.data(), WeightType::fp8, blocks.data(), 256);
    return table;
  }();
  return kTable;
}

// What 32 columns of a row share.
struct Shared {
  float scale, offset;
  int32_t zero;
};

std::byte* put_block(std::byte* to, WeightType type, const Shared& shared, const uint8_t* q) {
  std::memcpy(to, &shared.scale, sizeof shared.scale);
  to += sizeof shared.scale;
  if (type != WeightType::fp8) {
    std::memcpy(to, &shared.offset, sizeof shared.offset);
    std::memcpy(to + 4, &shared.zero, sizeof shared.zero);
    to += 8;
  }
  if (type != WeightType::affine4) {
    std::memcpy(to, q, kBlock);
    return to + kBlock;
  }
  for (int i = 0; i < 16; ++i) to[i] = static_cast<std::byte>(q[i] | q[i + 16] << 4);
  return to + 16;
}

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

// Which words hold rows [first_row, first_row + n_rows), `per_word` of them each.
struct WordRange {
  int64_t begin, count;
};
WordRange words_of(int64_t first_row, int64_t n_rows, int64_t per_word) {
  const int64_t begin = first_row / per_word;
  return {begin, ceil_div(first_row + n_rows, per_word) - begin};
}

// Columns [begin, begin + count) of the first `n` rows of a matrix of words that is `width` wide.
std::vector<uint32_t> read_strip(const Part& part, int64_t n, int64_t width, WordRange columns) {
  std::vector<uint32_t> words(size_of(n * columns.count));
  if (columns.count == width) {
    read_array(part, 0, std::span(words));
    return words;
  }
  for (int64_t i = 0; i < n; ++i) {
    read_array(part,
               i * width + columns.begin,
               std::span(words).subspan(size_of(i * columns.count), size_of(columns.count)));
  }
  return words;
}

}  // namespace

WeightType row_type(const QuantizedMatrix& m) {
  const bool shared = m.group_index ? blocks_share_groups(groups_of_columns(m))
                                    : m.group_size % kBlock == 0 || m.group_size >= m.n_columns;
  if (m.n_columns % kBlock != 0 || !shared) return WeightType::f32;
  if (m.is_float) return WeightType::fp8;
  return m.bits <= 4 ? WeightType::affine4 : WeightType::affine8;
}

QuantizedRows::QuantizedRows(QuantizedMatrix matrix)
    : matrix_(std::move(matrix)), type_(row_type(matrix_)) {}

void QuantizedRows::read(int64_t first_row, int64_t n_rows, std::byte* to) const {
  const QuantizedMatrix& m = matrix_;
  const std::vector<int32_t> group_of = groups_of_columns(m);
  std::vector<uint8_t> numbers(size_of(n_rows * m.n_columns));
  read_numbers(first_row, n_rows, numbers.data());
  const Groups groups = read_groups(first_row, n_rows);
  const auto shared = [&](int64_t row, int64_t column) {
    const size_t at = size_of(row * m.n_groups + group_of[size_of(column)]);
    return Shared{groups.scales[at],
                  groups.offsets.empty() ? 0 : groups.offsets[at],
                  groups.zeros.empty() ? 0 : groups.zeros[at]};
  };
  for (int64_t row = 0; row < n_rows; ++row) {
    const uint8_t* q = numbers.data() + row * m.n_columns;
    if (type_ != WeightType::f32) {
      for (int64_t i = 0; i < m.n_columns; i += kBlock) {
        to = put_block(to, type_, shared(row, i), q + i);
      }
      continue;
    }
    for (int64_t i = 0; i < m.n_columns; ++i, to += sizeof(float)) {
      const auto [scale, offset, zero] = shared(row, i);
      const float value = m.is_float ? scale * e4m3_table()[q[i]]
                                     : scale * static_cast<float>(q[i] - zero) + offset;
      std::memcpy(to, &value, sizeof value);
    }
  }
}

void QuantizedRows::read_floats(const Part& part, int64_t first, int64_t n, float* to) const {
  const std::span<float> floats(to, size_of(n));
  if (part.dtype == "F32") {
    read_array(part, first, floats);
  } else if (part.dtype == "F8_E8M0" || part.dtype == "U8") {  // 2^(x - 127), 255 is NaN
    std::vector<uint8_t> exponents(size_of(n));
    read_array(part, first, std::span(exponents));
    for (size_t i = 0; i < exponents.size(); ++i) {
      floats[i] = exponents[i] == 255 ? std::numeric_limits<float>::quiet_NaN()
                                      : std::ldexp(1.0f, exponents[i] - 127);
    }
  } else {
    std::vector<uint16_t> halves(size_of(n));
    read_array(part, first, std::span(halves));
    convert_elements(
        to, DType::f32, halves.data(), part.dtype == "BF16" ? DType::bf16 : DType::f16, n);
  }
  const auto bad =
      std::find_if(floats.begin(), floats.end(), [](float x) { return !std::isfinite(x); });
  QWEN3_CHECK(bad == floats.end(),
              ErrorKind::corrupt_file,
              "{}: element {}: expected a finite number, got {}; is the file damaged?",
              part_name(matrix_, part),
              first + (bad - floats.begin()),
              *bad);
}

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
    read_array(layout_.zeros, first * n, std::span(bytes));
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
  read_array(layout_.zeros, begin * n, std::span(words));
  for (int64_t row = 0; row < n_rows; ++row) {
    const int64_t at = first_row + row - begin * per_word;
    for (int64_t g = 0; g < n; ++g) {
      const uint32_t word = words[size_of(at / per_word * n + g)];
      zeros[size_of(row * n + g)] =
          static_cast<int32_t>(word >> (at % per_word * bits) & ((1u << bits) - 1));
    }
  }
}

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
