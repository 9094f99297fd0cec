// Rows of quantised blocks with random codes and scales that are numbers of a weight's size.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/weight.h"

namespace qwen3::test {

// The halves of a block that are factors of all its numbers, by byte.
inline std::vector<int> scale_halves(WeightType type) {
  switch (type) {
    case WeightType::q4_0:
    case WeightType::q5_0:
    case WeightType::q8_0:
    case WeightType::iq4_nl:
    case WeightType::iq4_xs:
      return {0};
    case WeightType::q4_1:
    case WeightType::q5_1:
    case WeightType::q4_k:
    case WeightType::q5_k:
      return {0, 2};
    case WeightType::q2_k:
      return {80, 82};
    case WeightType::q3_k:
      return {108};
    case WeightType::q6_k:
      return {208};
    default:
      return {};
  }
}

inline std::vector<std::byte> random_blocks(WeightType type, int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(type, n)));
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  const auto scale = [&] { return 1e-4f * static_cast<float>(1 + random() % 30); };
  const auto size = static_cast<size_t>(block_of(type).bytes);
  for (size_t block = 0; block < bytes.size(); block += size) {
    std::byte* const b = bytes.data() + block;
    for (const int at : scale_halves(type)) {
      const uint16_t half = f32_to_f16(scale());
      std::memcpy(b + at, &half, sizeof half);
    }
    if (type == WeightType::affine4 || type == WeightType::affine8) {
      const float numbers[2] = {f16_to_f32(f32_to_f16(scale())), 0};
      const int32_t zero =
          static_cast<int32_t>(random() % (type == WeightType::affine4 ? 16 : 256));
      std::memcpy(b, numbers, sizeof numbers);
      std::memcpy(b + sizeof numbers, &zero, sizeof zero);
    } else if (is_fp8(type)) {
      const float number = scale();
      std::memcpy(b, &number, sizeof number);
      for (size_t i = sizeof number; i < size; ++i) {
        if ((b[i] & std::byte{0x7F}) == std::byte{0x7F}) b[i] = std::byte{0x3A};  // not NaN
      }
    } else if (type == WeightType::mxfp4) {
      b[0] = std::byte{120};
    }
  }
  return bytes;
}

}  // namespace qwen3::test
