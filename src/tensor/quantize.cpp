#include "tensor/quantize.h"

#include <algorithm>
#include <cassert>

#include "tensor/convert.h"
#include "tensor/quantize/blocks.h"

namespace qwen3 {
namespace {

using Quantizer = void (*)(uint8_t* block, const float* x, const float* w);

Quantizer quantizer_of(WeightType type) {
  switch (type) {
    case WeightType::q4_0:
      return quantization::q4_0;
    case WeightType::q4_1:
      return quantization::q4_1;
    case WeightType::q5_0:
      return quantization::q5_0;
    case WeightType::q5_1:
      return quantization::q5_1;
    case WeightType::q8_0:
      return quantization::q8_0;
    case WeightType::q4_k:
      return quantization::q4_k;
    case WeightType::q5_k:
      return quantization::q5_k;
    case WeightType::q6_k:
      return quantization::q6_k;
    default:
      return nullptr;
  }
}

// A column that the calibration text never used still counts a little.
constexpr float kLeastImportance = 1e-4f;

// What the squared errors of a block count: the mean square of an input times a weight's error is what
// the output's error grows by. Weighting large numbers more on top of that, as llama.cpp does, made
// the KL divergence larger (docs/quantize.md).
void error_weights(float* w, const float* importance, float mean_importance, int n) {
  for (int i = 0; i < n; ++i) {
    w[i] = importance == nullptr ? 1 : std::max(importance[i] / mean_importance, kLeastImportance);
  }
}

float mean_of(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += value;
  return static_cast<float>(sum / static_cast<double>(values.size()));
}

}  // namespace

bool can_quantize(WeightType type) { return is_plain(type) || quantizer_of(type) != nullptr; }

void quantize_row(std::byte* to,
                  WeightType type,
                  std::span<const float> x,
                  std::span<const float> importance) {
  assert(can_quantize(type));
  const auto n = static_cast<int64_t>(x.size());
  if (is_plain(type)) {
    convert_elements(to, dtype_of(type), x.data(), DType::f32, n);
    return;
  }
  const auto [elements, bytes] = block_of(type);
  assert(n % elements == 0 && (importance.empty() || importance.size() == x.size()));
  const float mean = importance.empty() ? 0 : mean_of(importance);
  const Quantizer quantize = quantizer_of(type);
  float w[quantization::kSuper];
  for (int64_t i = 0; i < n; i += elements) {
    error_weights(w, mean > 0 ? importance.data() + i : nullptr, mean, elements);
    quantize(reinterpret_cast<uint8_t*>(to) + i / elements * bytes, x.data() + i, w);
  }
}

}  // namespace qwen3
