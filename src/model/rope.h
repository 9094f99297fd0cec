// Rotary position embedding: the angles. Turning the vectors is Backend::rope_rotate_half.
//   inv_freq[i] = rope_theta^(-2i / head_dim), angle = position * inv_freq[i]  (arXiv:2104.09864,
//   with transformers' pairing of i and i + head_dim/2), optionally rescaled by YaRN
//   (arXiv:2309.00071, as transformers _compute_yarn_parameters).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/hf_config.h"
#include "tensor/tensor.h"

namespace qwen3 {

class Rope {
 public:
  explicit Rope(const HfConfig& config);

  // Fills cos and sin [n_tokens, head_dim / 2], multiplied by attention_scaling().
  void angles(const Tensor& cos, const Tensor& sin, std::span<const int32_t> positions) const;

  std::span<const float> inv_freq() const { return inv_freq_; }  // [head_dim / 2]
  float attention_scaling() const { return attention_scaling_; }

 private:
  std::vector<float> inv_freq_;
  float attention_scaling_ = 1.0f;
};

}  // namespace qwen3
