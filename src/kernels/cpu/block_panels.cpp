#include "kernels/cpu/block_panels.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "tensor/blocks.h"
#include "tensor/dtype.h"

namespace qwen3::cpu {
namespace {

constexpr int64_t kPanelRows = 16;

template <typename T>
T read_at(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// One output of a panel: where its share of heads and codes lies.
struct Lane {
  uint8_t* heads;
  uint8_t* codes;
  int64_t lane;

  void set_half(int64_t at, uint16_t bits) const { std::memcpy(heads + at + 2 * lane, &bits, 2); }
  void set_single(int64_t at, float value) const { std::memcpy(heads + at + 4 * lane, &value, 4); }
  void set_byte(int64_t at, uint8_t value) const { heads[at + lane] = value; }
};

uint32_t four(const uint8_t* q, int64_t step) { return read_at<uint32_t>(q + 4 * step); }

// Of 32 inputs.
void put_codes(Codes layout, uint8_t* to, int64_t lane, const uint8_t* q) {
  const auto put = [&](int64_t step, uint32_t dword) {
    std::memcpy(to + 64 * step + 4 * lane, &dword, 4);
  };
  if (layout == Codes::bytes) {
    for (int64_t step = 0; step < 8; ++step) put(step, four(q, step));
    return;
  }
  if (layout == Codes::e4m3) {
    for (int64_t i = 0; i < kBlockGroup; ++i) to[i / 2 * 32 + 2 * lane + i % 2] = q[i];
    return;
  }
  if (layout == Codes::two_bits || layout == Codes::two_bits_and_bit) {
    uint32_t pairs[2] = {0, 0}, third = 0;
    for (int s = 0; s < 8; ++s) {
      pairs[s / 4] |= (four(q, s) & 0x03030303) << (2 * (s % 4));
      third |= (four(q, s) >> 2 & 0x01010101) << s;
    }
    put(0, pairs[0]);
    put(1, pairs[1]);
    if (layout == Codes::two_bits_and_bit) put(2, third);
    return;
  }
  constexpr uint32_t kNibbles = 0x0F0F0F0F;
  for (int64_t j = 0; j < 4; ++j) {
    put(j, (four(q, 2 * j) & kNibbles) | (four(q, 2 * j + 1) & kNibbles) << 4);
  }
  if (layout == Codes::nibbles_and_bit) {
    uint32_t bits = 0;
    for (int s = 0; s < 8; ++s) bits |= (four(q, s) >> 4 & 0x01010101) << s;
    put(4, bits);
  } else if (layout == Codes::nibbles_and_two_bits) {
    for (int half = 0; half < 2; ++half) {
      uint32_t bits = 0;
      for (int s = 0; s < 4; ++s) bits |= (four(q, 4 * half + s) >> 4 & 0x03030303) << (2 * s);
      put(4 + half, bits);
    }
  }
}

uint8_t get_code(Codes layout, const uint8_t* from, int64_t lane, int64_t i) {
  const int64_t step = i / 4;
  const uint8_t* at = from + 4 * lane + i % 4;
  if (layout == Codes::bytes) return at[64 * step];
  if (layout == Codes::two_bits || layout == Codes::two_bits_and_bit) {
    const int third = layout == Codes::two_bits_and_bit ? at[128] >> step & 1 : 0;
    return static_cast<uint8_t>((at[64 * (step / 4)] >> (2 * (step % 4)) & 3) | third << 2);
  }
  int code = at[64 * (step / 2)] >> (4 * (step % 2)) & 15;
  if (const uint8_t* const table = table_of(layout)) return table[code];
  if (layout == Codes::nibbles_and_bit) code |= (at[256] >> step & 1) << 4;
  if (layout == Codes::nibbles_and_two_bits) {
    code |= (at[256 + 64 * (step / 4)] >> (2 * (step % 4)) & 3) << 4;
  }
  return static_cast<uint8_t>(code);
}

// What a block of a file shares (tensor/blocks.h).
void put_head(const BlockLayout& layout, const uint8_t* b, const Lane& to) {
  switch (layout.heads) {
    case Heads::half:
      return to.set_half(0, read_at<uint16_t>(b));
    case Heads::half_offset:
      to.set_half(0, read_at<uint16_t>(b));
      return to.set_half(32, read_at<uint16_t>(b + 2));
    case Heads::single_offset: {
      const auto scale = read_at<float>(b);
      const auto zero = static_cast<float>(read_at<int32_t>(b + 8));
      to.set_single(0, scale);
      return to.set_single(64, read_at<float>(b + 4) - scale * zero);
    }
    case Heads::single:
      return to.set_single(0, read_at<float>(b));
    case Heads::k_with_minimum:
      to.set_half(0, read_at<uint16_t>(b));
      to.set_half(32, read_at<uint16_t>(b + 2));
      for (int g = 0; g < 8; ++g) {
        const auto [scale, min] = six_bit_scales(b + 4, g);
        to.set_byte(64 + 32 * g, scale);
        to.set_byte(64 + 32 * g + 16, min);
      }
      return;
    case Heads::k_signed:
      if (layout.codes == Codes::two_bits_and_bit) {  // Q3_K
        to.set_half(0, read_at<uint16_t>(b + 108));
        for (int g = 0; g < 16; ++g)
          to.set_byte(64 + 16 * g, static_cast<uint8_t>(q3_k_scale(b, g)));
        return;
      }
      to.set_half(0, read_at<uint16_t>(b + 208));
      for (int g = 0; g < 16; ++g) to.set_byte(64 + 16 * g, b[192 + g]);
      return;
    case Heads::k_nibbles:
      to.set_half(0, read_at<uint16_t>(b + 80));
      to.set_half(32, read_at<uint16_t>(b + 82));
      for (int g = 0; g < 16; ++g) to.set_byte(64 + 16 * g, b[g]);
      return;
    case Heads::xs_signed:
      to.set_half(0, read_at<uint16_t>(b));
      for (int g = 0; g < 8; ++g)
        to.set_byte(32 + 16 * g, static_cast<uint8_t>(iq4_xs_scale(b, g)));
      return;
    case Heads::exponent:
      return to.set_byte(0, b[0]);
  }
}

// Scale and offset of input i's group.
struct ScaleOffset {
  float scale, offset;
};

ScaleOffset scale_of(const BlockLayout& layout, const uint8_t* heads, int64_t lane, int64_t i) {
  const uint8_t* const head = heads + i / layout.head_inputs * head_bytes(layout.heads);
  const auto half = [&](int64_t at) { return f16_to_f32(read_at<uint16_t>(head + at + 2 * lane)); };
  const int64_t within = i % layout.head_inputs;
  switch (layout.heads) {
    case Heads::half:
      return {half(0), 0.0f};
    case Heads::half_offset:
      return {half(0), half(32)};
    case Heads::single_offset:
      return {read_at<float>(head + 4 * lane), read_at<float>(head + 64 + 4 * lane)};
    case Heads::single:
      return {read_at<float>(head + 4 * lane), 0.0f};
    case Heads::k_with_minimum: {
      const uint8_t* const bytes = head + 64 + 32 * (within / 32) + lane;
      return {half(0) * static_cast<float>(bytes[0]), -half(32) * static_cast<float>(bytes[16])};
    }
    case Heads::k_nibbles: {
      const int both = head[64 + 16 * (within / 16) + lane];
      return {half(0) * static_cast<float>(both & 15), -half(32) * static_cast<float>(both >> 4)};
    }
    case Heads::xs_signed: {
      const auto scale = static_cast<int8_t>(head[32 + 16 * (within / 32) + lane]);
      return {half(0) * static_cast<float>(scale), 0.0f};
    }
    case Heads::exponent:
      return {std::ldexp(1.0f, head[lane] - 128), 0.0f};
    case Heads::k_signed:
      break;
  }
  const auto scale = static_cast<int8_t>(head[64 + 16 * (within / 16) + lane]);
  return {half(0) * static_cast<float>(scale), 0.0f};
}

}  // namespace

std::optional<Blocks> blocks_of(WeightType type) {
  switch (type) {
    case WeightType::q4_0:
      return Blocks::q4_0;
    case WeightType::q4_1:
      return Blocks::q4_1;
    case WeightType::q5_0:
      return Blocks::q5_0;
    case WeightType::q5_1:
      return Blocks::q5_1;
    case WeightType::q8_0:
      return Blocks::q8_0;
    case WeightType::q2_k:
      return Blocks::q2_k;
    case WeightType::q3_k:
      return Blocks::q3_k;
    case WeightType::q4_k:
      return Blocks::q4_k;
    case WeightType::q5_k:
      return Blocks::q5_k;
    case WeightType::q6_k:
      return Blocks::q6_k;
    case WeightType::iq4_nl:
      return Blocks::iq4_nl;
    case WeightType::iq4_xs:
      return Blocks::iq4_xs;
    case WeightType::mxfp4:
      return Blocks::mxfp4;
    case WeightType::affine4:
      return Blocks::affine4;
    case WeightType::affine8:
      return Blocks::affine8;
    case WeightType::fp8:
      return Blocks::fp8;
    case WeightType::fp8_128:
      return Blocks::fp8_128;
    default:
      return std::nullopt;
  }
}

WeightFormat block_format(WeightType type, int64_t n_out, int64_t n_in) {
  return {
      .bytes = ceil_div(n_out, kPanelRows) * block_panel_bytes(layout_of(*blocks_of(type)), n_in),
      .row_step = kPanelRows};
}

void pack_blocks(const Weight& matrix, const WeightRows& rows, int64_t row_begin) {
  assert(matrix.type() == rows.type && matrix.n_in() == rows.n_in && row_begin % kPanelRows == 0);
  const BlockLayout& layout = layout_of(*blocks_of(rows.type));
  const auto [elements, bytes] = block_of(rows.type);
  const int64_t panel_bytes = block_panel_bytes(layout, rows.n_in);
  const int64_t n_blocks = rows.n_in / elements;
  for (int64_t row = 0; row < rows.n_rows; ++row) {
    const int64_t lane = row % kPanelRows;
    auto* const panel =
        reinterpret_cast<uint8_t*>(matrix.data()) + (row_begin + row) / kPanelRows * panel_bytes;
    // Also the padding of heads, and the lanes of outputs that there are not.
    if (lane == 0) std::memset(panel, 0, static_cast<size_t>(panel_bytes));
    const auto* block = reinterpret_cast<const uint8_t*>(rows.data) + row * n_blocks * bytes;
    Lane to{panel, panel + head_region(layout, rows.n_in), lane};
    for (int64_t i = 0; i < n_blocks; ++i, block += bytes) {
      put_head(layout, block, to);
      to.heads += head_bytes(layout.heads);
      uint8_t q[256];
      block_codes(q, rows.type, block);
      for (int64_t g = 0; g < elements; g += kBlockGroup) {
        put_codes(layout.codes, to.codes, lane, q + g);
        to.codes += code_bytes(layout.codes);
      }
    }
  }
}

void read_block_row(float* out, const Weight& matrix, int64_t row) {
  const BlockLayout& layout = layout_of(*blocks_of(matrix.type()));
  const int64_t n = matrix.n_in();
  const int64_t lane = row % kPanelRows;
  const auto* const panel = reinterpret_cast<const uint8_t*>(matrix.data()) +
                            row / kPanelRows * block_panel_bytes(layout, n);
  const uint8_t* const codes = panel + head_region(layout, n);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t group = i / kBlockGroup;
    if (layout.codes == Codes::e4m3) {
      const uint8_t code = codes[i / 2 * 32 + 2 * lane + i % 2];
      out[i] = scale_of(layout, panel, lane, i).scale * e4m3_to_f32(code);
      continue;
    }
    const int code =
        get_code(layout.codes, codes + group * code_bytes(layout.codes), lane, i % kBlockGroup);
    const auto [scale, offset] = scale_of(layout, panel, lane, i);
    out[i] = scale * static_cast<float>(code - layout.bias) + offset;
  }
}

}  // namespace qwen3::cpu
