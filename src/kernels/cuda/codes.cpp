#include "kernels/cuda/codes.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "tensor/blocks.h"

namespace qwen3::cuda {
namespace {

// Sixteen rows: their codes, and the scales of their groups.
struct RowTile {
  RowTile(WeightType type, int64_t columns)
      : group(code_scale_group(type)),
        n_in(columns),
        codes(static_cast<size_t>(kTile * n_in)),
        scales(static_cast<size_t>(kTile * n_in / group)) {}

  void read(WeightType type, const std::byte* rows, int64_t n_rows) {
    const auto [elements, bytes] = block_of(type);
    std::ranges::fill(codes, uint8_t{0});
    std::ranges::fill(scales, CodeScale{0, 0});
    const auto* block = reinterpret_cast<const uint8_t*>(rows);
    for (int64_t at = 0; at < n_rows * n_in; at += elements, block += bytes) {
      block_codes(codes.data() + at, type, block);
      code_scales(scales.data() + at / group, type, block);
    }
    // Q3_K's zero is 4 where Q6_K's is 32.
    if (type == WeightType::q3_k) {
      for (uint8_t& code : codes) code = static_cast<uint8_t>(code + 28);
    }
  }

  const CodeScale& scale(int row, int64_t column) const {
    return scales[static_cast<size_t>((row * n_in + column) / group)];
  }

  int group;
  int64_t n_in;
  std::vector<uint8_t> codes;
  std::vector<CodeScale> scales;
};

// Where in its tile's 16 rows of codes an element in the order of fragments stands.
struct Place {
  uint8_t row, column;
};
struct Places {
  Place of[kTile * kTile];
  Places() : of() {
    for (int r = 0; r < kTile; ++r) {
      for (int k = 0; k < kTile; ++k) {
        of[fragment_index(r, k)] = {static_cast<uint8_t>(r), static_cast<uint8_t>(k)};
      }
    }
  }
};

void put_codes(uint8_t* unit, Coding coding, const RowTile& rows, int64_t column) {
  static const Places places;
  if (coding == Coding::int4) std::memset(unit, 0, static_cast<size_t>(scales_at(coding)));
  for (int at = 0; at < 2 * kTile * kTile; ++at) {
    // Lane by lane, the elements of the first tile and of the second.
    const int lane = at / 16, half = at / 8 % 2, element = at % 8;
    const Place place = places.of[lane * 8 + element];
    const uint8_t code = rows.codes[static_cast<size_t>(place.row * rows.n_in + column +
                                                        half * kTile + place.column)];
    if (coding != Coding::int4) {
      unit[at] = code;
    } else {
      const int nibble = at - element + place_of_4_bits(element);
      unit[nibble / 2] = static_cast<uint8_t>(unit[nibble / 2] | code << (nibble % 2 * 4));
    }
  }
}

void put_scales(uint8_t* unit, Coding coding, const RowTile& rows, int64_t column) {
  for (int r = 0; r < kTile; ++r) {
    const auto [scale, offset] = rows.scale(r, column);
    if (coding == Coding::int4) {
      QWEN3_CHECK(
          std::abs(scale) < kMaxFourBitScale,
          ErrorKind::unsupported,
          "weights of 4 bits: expected scales less than {} on a card, got {}; use --backend cpu",
          kMaxFourBitScale,
          scale);
      // What the scale loses at the middle code goes into the offset.
      const float rounded = bf16_to_f32(f32_to_bf16(scale));
      const float rest = bf16_to_f32(f32_to_bf16(offset + 7.5f * (scale - rounded)));
      const uint16_t pair[2] = {f32_to_bf16(rounded * four_bit_scale(r)),
                                f32_to_bf16(rest * kFourBitOffset)};
      std::memcpy(
          unit + scales_at(coding) + static_cast<size_t>(r) * sizeof pair, pair, sizeof pair);
      continue;
    }
    const float second =
        coding == Coding::int8_halves ? rows.scale(r, column + kTile).scale : offset;
    const float pair[2] = {scale, second};
    std::memcpy(unit + scales_at(coding) + static_cast<size_t>(r) * sizeof pair, pair, sizeof pair);
  }
}

}  // namespace

Coding coding_of(WeightType type) {
  switch (type) {
    case WeightType::q4_0:
    case WeightType::q4_1:
    case WeightType::q4_k:
    case WeightType::affine4:
      return Coding::int4;
    case WeightType::q5_0:
    case WeightType::q5_1:
    case WeightType::q5_k:
    case WeightType::q8_0:
    case WeightType::affine8:
      return Coding::int8;
    case WeightType::q3_k:
    case WeightType::q6_k:
      return Coding::int8_halves;
    case WeightType::fp8:
    case WeightType::fp8_128:
      return Coding::e4m3;
    default:
      return Coding::none;
  }
}

int64_t coded_bytes(Coding coding, int64_t n_out, int64_t n_in) {
  return row_tiles(n_out) * column_tiles(n_in) * tile_bytes(coding);
}

void pack_codes(
    std::byte* to, WeightType type, const std::byte* rows, int64_t n_rows, int64_t n_in) {
  const Coding coding = coding_of(type);
  assert(coding != Coding::none && n_in % kUnit == 0);
  RowTile tile(type, n_in);
  auto* unit = reinterpret_cast<uint8_t*>(to);
  for (int64_t row = 0; row < n_rows; row += kTile) {
    tile.read(type, rows + row * row_bytes(type, n_in), std::min<int64_t>(kTile, n_rows - row));
    for (int64_t column = 0; column < n_in; column += kUnit, unit += 2 * tile_bytes(coding)) {
      put_codes(unit, coding, tile, column);
      put_scales(unit, coding, tile, column);
    }
  }
}

}  // namespace qwen3::cuda
