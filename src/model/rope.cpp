#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <tuple>
#include <utility>

#include "base/checked.h"
#include "base/error.h"

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

void Rope::angles(std::span<float> cos, std::span<float> sin, int64_t first) const {
  const size_t half = inv_freq_.size();
  for (size_t at = 0; at < cos.size(); at += half) {
    const auto position = static_cast<float>(first + static_cast<int64_t>(at / half));
    for (size_t i = 0; i < half; ++i) {
      // The product is rounded to float32 as in transformers; sine and cosine of that are exact.
      const float angle = position * inv_freq_[i];
      cos[at + i] = std::cos(angle) * attention_scaling_;
      sin[at + i] = std::sin(angle) * attention_scaling_;
    }
  }
}

namespace {

std::pair<Tensor, Tensor> take_table(Arena& arena, const HfConfig& c, int64_t n_positions) {
  const Shape shape = {n_positions, c.head_dim / 2};
  const Tensor cos = arena.take(DType::f32, shape);
  return {cos, arena.take(DType::f32, shape)};
}

}  // namespace

int64_t RopeTable::bytes(const HfConfig& config, int64_t n_positions) {
  Arena measure;
  take_table(measure, config, n_positions);
  return measure.used();
}

RopeTable::RopeTable(const HfConfig& config, const Backend& backend, int64_t n_positions)
    : rope_(config), storage_(backend.allocate(bytes(config, n_positions))) {
  Arena arena(storage_);
  std::tie(cos_, sin_) = take_table(arena, config, n_positions);
}

void RopeTable::fill_up_to(const Backend& backend, int64_t n_positions) {
  constexpr int64_t kChunk = 256;  // a decoding sequence comes here once in so many steps
  const int64_t end = std::min(round_up(n_positions, kChunk), cos_.dim(0));
  const int64_t count = end - n_filled_;
  std::vector<float> cos(static_cast<size_t>(count * cos_.dim(1))), sin(cos.size());
  rope_.angles(cos, sin, n_filled_);
  backend.upload(cos_.rows(n_filled_, count), cos.data());
  backend.upload(sin_.rows(n_filled_, count), sin.data());
  n_filled_ = end;
}

void RopeTable::reach(const Backend& backend, std::span<const int32_t> positions) {
  int64_t n_reached = 0;
  for (const int32_t position : positions) n_reached = std::max<int64_t>(n_reached, position + 1);
  QWEN3_CHECK(n_reached <= cos_.dim(0),
              ErrorKind::internal,
              "rope: position {} of at most {}",
              n_reached - 1,
              cos_.dim(0) - 1);
  if (n_reached > n_filled_) fill_up_to(backend, n_reached);
}

void RopeTable::gather(Backend& ops,
                       const Tensor& cos,
                       const Tensor& sin,
                       const Tensor& positions) const {
  ops.gather_rows(cos, cos_, positions);
  ops.gather_rows(sin, sin_, positions);
}

}  // namespace qwen3
