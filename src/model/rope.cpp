#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qwen3 {
namespace {

// How strongly dimension pair i is interpolated: 0 below `low`, 1 above `high`, a ramp between.
std::vector<float> yarn_ramp(const HfConfig& config) {
  const RopeScaling& yarn = config.rope_scaling;
  const auto dim = static_cast<double>(config.head_dim);
  const auto original = static_cast<double>(yarn.original_max_position_embeddings);
  // The dimension whose wave turns `rotations` times over the original context.
  const auto dimension_of = [&](double rotations) {
    return dim * std::log(original / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(config.rope_theta));
  };
  double low = dimension_of(yarn.beta_fast), high = dimension_of(yarn.beta_slow);
  if (yarn.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;  // transformers: avoid a division by zero
  const auto low32 = static_cast<float>(low), width = static_cast<float>(high - low);
  std::vector<float> ramp(static_cast<size_t>(config.head_dim / 2));
  for (size_t i = 0; i < ramp.size(); ++i) {
    ramp[i] = std::clamp((static_cast<float>(i) - low32) / width, 0.0f, 1.0f);
  }
  return ramp;
}

double yarn_attention_scaling(const RopeScaling& yarn) {
  const auto mscale = [&](double m) {
    return yarn.factor <= 1 ? 1.0 : 0.1 * m * std::log(yarn.factor) + 1.0;
  };
  if (yarn.attention_factor) return *yarn.attention_factor;
  // As transformers: zero counts as absent.
  if (yarn.mscale.value_or(0) != 0 && yarn.mscale_all_dim.value_or(0) != 0) {
    return mscale(*yarn.mscale) / mscale(*yarn.mscale_all_dim);
  }
  return mscale(1.0);
}

}  // namespace

Rope::Rope(const HfConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  const bool yarn = scaling.type == RopeScaling::Type::yarn;
  const std::vector<float> ramp = yarn ? yarn_ramp(config) : std::vector<float>();
  const auto theta = static_cast<float>(config.rope_theta);
  const auto factor = static_cast<float>(scaling.factor);
  for (int64_t i = 0; i < config.head_dim / 2; ++i) {
    // In float32, step by step as transformers: the last bit of a frequency moves a cosine at
    // position 40,000 by 4e-3.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config.head_dim);
    const float wavelength = std::pow(theta, exponent);
    float inv = 1.0f / wavelength;
    if (scaling.type == RopeScaling::Type::linear) inv /= factor;
    if (yarn) {
      const float keep = 1.0f - ramp[static_cast<size_t>(i)];
      inv = 1.0f / (factor * wavelength) * (1.0f - keep) + inv * keep;
    }
    inv_freq_.push_back(inv);
  }
  if (yarn) attention_scaling_ = static_cast<float>(yarn_attention_scaling(scaling));
}

void Rope::angles(const Tensor& cos, const Tensor& sin, std::span<const int32_t> positions) const {
  for (size_t t = 0; t < positions.size(); ++t) {
    float* c = cos.f32_row(static_cast<int64_t>(t));
    float* s = sin.f32_row(static_cast<int64_t>(t));
    for (size_t i = 0; i < inv_freq_.size(); ++i) {
      // The product is rounded to float32 as in transformers; sine and cosine of that are exact.
      const float angle = static_cast<float>(positions[t]) * inv_freq_[i];
      c[i] = std::cos(angle) * attention_scaling_;
      s[i] = std::sin(angle) * attention_scaling_;
    }
  }
}

}  // namespace qwen3
