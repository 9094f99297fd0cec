// ModelFacts: what a listener must know of the model beyond the tensors it is shown. Filled from
// the checkpoint's configuration by the caller, so that trace/ needs neither model/ nor formats/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace qwen3 {

struct ModelFacts {
  std::string name;
  bool moe = false;
  int64_t num_hidden_layers = 0;
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t moe_intermediate_size = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t num_experts = 0;
  int64_t num_experts_per_tok = 0;
  bool norm_topk_prob = false;
  bool qk_norm_after_rope = false;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 1e6;
  std::vector<bool> layer_is_sparse;          // [num_hidden_layers]
  std::vector<int64_t> layer_sliding_window;  // [num_hidden_layers], 0: none

  bool is_sparse(int64_t layer) const {
    const auto i = static_cast<size_t>(layer);
    return i < layer_is_sparse.size() && layer_is_sparse[i];
  }
};

}  // namespace qwen3
