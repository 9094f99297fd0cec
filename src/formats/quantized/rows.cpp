#include "formats/quantized/rows.h"

#include <algorithm>
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

constexpr int64_t kBlock = 32, kLongBlock = 128;

size_t size_of(int64_t n) { return static_cast<size_t>(n); }

std::string part_name(const QuantizedMatrix& matrix, const Part& part) {
  return fmt::format(
      "{}: tensor {}.{}", part.file->name(), quote_for_message(matrix.module, 200), part.suffix);
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
  m.group_index.read(0, std::span(groups));
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

bool blocks_share_groups(const QuantizedMatrix& m,
                         const std::vector<int32_t>& groups,
                         int64_t block) {
  if (m.n_columns % block != 0) return false;
  if (!m.group_index) return m.group_size % block == 0 || m.group_size >= m.n_columns;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] != groups[i - i % size_of(block)]) return false;
  }
  return true;
}

// What the columns of a block share.
struct Shared {
  float scale, offset;
  int32_t zero;
};

std::byte* put_block(std::byte* to, WeightType type, const Shared& shared, const uint8_t* q) {
  std::memcpy(to, &shared.scale, sizeof shared.scale);
  to += sizeof shared.scale;
  if (!is_fp8(type)) {
    std::memcpy(to, &shared.offset, sizeof shared.offset);
    std::memcpy(to + 4, &shared.zero, sizeof shared.zero);
    to += 8;
  }
  if (type != WeightType::affine4) {
    const int n = block_of(type).elements;
    std::memcpy(to, q, size_of(n));
    return to + n;
  }
  for (int i = 0; i < 16; ++i) to[i] = static_cast<std::byte>(q[i] | q[i + 16] << 4);
  return to + 16;
}

}  // namespace

WeightType row_type(const QuantizedMatrix& m) {
  const std::vector<int32_t> groups = groups_of_columns(m);
  if (!blocks_share_groups(m, groups, kBlock)) return WeightType::f32;
  if (m.is_float) {
    return blocks_share_groups(m, groups, kLongBlock) ? WeightType::fp8_128 : WeightType::fp8;
  }
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
      const int64_t block = block_of(type_).elements;
      for (int64_t i = 0; i < m.n_columns; i += block) {
        to = put_block(to, type_, shared(row, i), q + i);
      }
      continue;
    }
    for (int64_t i = 0; i < m.n_columns; ++i, to += sizeof(float)) {
      const auto [scale, offset, zero] = shared(row, i);
      const float value =
          m.is_float ? scale * e4m3_to_f32(q[i]) : scale * static_cast<float>(q[i] - zero) + offset;
      std::memcpy(to, &value, sizeof value);
    }
  }
}

void QuantizedRows::read_floats(const Part& part, int64_t first, int64_t n, float* to) const {
  const std::span<float> floats(to, size_of(n));
  if (part.dtype == "F32") {
    part.read(first, floats);
  } else if (part.dtype == "F8_E8M0" || part.dtype == "U8") {  // 2^(x - 127), 255 is NaN
    std::vector<uint8_t> exponents(size_of(n));
    part.read(first, std::span(exponents));
    for (size_t i = 0; i < exponents.size(); ++i) {
      floats[i] = exponents[i] == 255 ? std::numeric_limits<float>::quiet_NaN()
                                      : std::ldexp(1.0f, exponents[i] - 127);
    }
  } else {
    std::vector<uint16_t> halves(size_of(n));
    part.read(first, std::span(halves));
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

}  // namespace qwen3
