// Rotary position embedding: the angles, in a table by position. Turning the vectors is Backend::rope_rotate_half.
//   inv_freq[i] = rope_theta^(-2i / head_dim), angle = position * inv_freq[i]  (arXiv:2104.09864,
//   with transformers' pairing of i and i + head_dim/2), optionally rescaled by YaRN
//   (arXiv:2309.00071, as transformers _compute_yarn_parameters).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/hf_config.h"
#include "kernels/backend.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

namespace qwen3 {

class Rope {
 public:
  explicit Rope(const HfConfig& config);

  // Rows of cosines and sines [n_positions, head_dim / 2] for positions from `first`, multiplied by
  // attention_scaling(). Both spans are of the same size, whole rows.
  void angles(std::span<float> cos, std::span<float> sin, int64_t first) const;

  std::span<const float> inv_freq() const { return inv_freq_; }  // [head_dim / 2]
  float attention_scaling() const { return attention_scaling_; }

 private:
  std::vector<float> inv_freq_;
  float attention_scaling_ = 1.0f;
};

// The cosines and sines of all positions up to a limit, where the backend reads them. Filled as
// positions are reached, so that a long context costs no memory before it is used.
class RopeTable {
 public:
  RopeTable(const HfConfig& config, const Backend& backend, int64_t n_positions);

  // Fills the table as far as the positions of a step to come.
  void reach(const Backend& backend, std::span<const int32_t> positions);
  // Rows of `positions`, all of them reached, into cos and sin [n_tokens, head_dim / 2].
  void gather(Backend& ops, const Tensor& cos, const Tensor& sin, const Tensor& positions) const;

  // Bytes that the constructor allocates.
  static int64_t bytes(const HfConfig& config, int64_t n_positions);

 private:
  void fill_up_to(const Backend& backend, int64_t n_positions);

  Rope rope_;
  Storage storage_;
  Tensor cos_, sin_;      // [n_positions, head_dim / 2] float32
  int64_t n_filled_ = 0;  // positions
};

}  // namespace qwen3
