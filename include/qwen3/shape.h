// ModelShape: the sizes of a model, and what else its config.json says about the numbers that flow
// through it. Names are Hugging Face's, verbatim.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace qwen3 {

enum class ModelType { qwen3, qwen3_moe };

// YaRN (arXiv:2309.00071), as transformers' _compute_yarn_parameters.
struct RopeScaling {
  enum class Type { none, yarn, linear } type = Type::none;
  double factor = 1.0;
  int64_t original_max_position_embeddings = 0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  std::optional<double> attention_factor = {};
  std::optional<double> mscale = {}, mscale_all_dim = {};
  bool truncate = true;
};

struct ModelShape {
  ModelType model_type = ModelType::qwen3;
  int64_t vocab_size = 0;  // rows of the head; ids above the tokenizer's are padding
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 0;
  RopeScaling rope_scaling = {};
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  // Sliding window of layer i, 0 for none. Resolved from use_sliding_window, sliding_window,
  // max_window_layers, layer_types and the model class's own rule (docs/model.md).
  std::vector<int64_t> layer_sliding_window = {};
  // Ours: "official" (norm, then RoPE) or "after_rope" (key qk_norm_order).
  bool qk_norm_after_rope = false;

  // Mixture of experts (qwen3_moe); zero / empty for dense.
  int64_t num_experts = 0;
  int64_t num_experts_per_tok = 0;
  int64_t moe_intermediate_size = 0;
  bool norm_topk_prob = false;
  double router_aux_loss_coef = 0.001;
  // layer_is_sparse[i]: resolved from decoder_sparse_step (or moe_layer_freq), mlp_only_layers.
  std::vector<bool> layer_is_sparse = {};

  bool moe() const { return model_type == ModelType::qwen3_moe; }

  bool is_sparse(int64_t layer) const {
    const auto i = static_cast<size_t>(layer);
    return i < layer_is_sparse.size() && layer_is_sparse[i];
  }

  // Longest sequence that the position embedding was made for (YaRN stretches it).
  int64_t context_length() const {
    const RopeScaling& r = rope_scaling;
    if (r.type == RopeScaling::Type::none || r.original_max_position_embeddings == 0) {
      return max_position_embeddings;
    }
    const double stretched = static_cast<double>(r.original_max_position_embeddings) * r.factor;
    return std::max(max_position_embeddings,
                    static_cast<int64_t>(std::min(stretched, static_cast<double>(1 << 30))));
  }
};

}  // namespace qwen3
