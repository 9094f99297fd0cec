// config.json and generation_config.json of a Qwen3 checkpoint, checked.
//
// Field names are Hugging Face's, verbatim. Both spellings in the field are read: transformers 4
// (torch_dtype, rope_theta and rope_scaling at the top level, num_experts) and transformers 5
// (dtype, rope_parameters, num_local_experts, layer_types), and three keys of an educational
// implementation (moe_layer_freq, use_moe, qk_norm_order). Unknown keys are ignored. A key that we
// read with a value that we cannot honour is an error, never a default. Every number has a hard
// limit, so that products of them cannot overflow.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace qwen3 {

enum class ModelType { qwen3, qwen3_moe };

// YaRN (arXiv:2309.00071), as transformers' _compute_yarn_parameters.
struct RopeScaling {
  enum class Type { none, yarn, linear } type = Type::none;
  double factor = 1.0;
  int64_t original_max_position_embeddings = 0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  std::optional<double> attention_factor;
  std::optional<double> mscale, mscale_all_dim;
  bool truncate = true;
};

struct HfConfig {
  ModelType model_type = ModelType::qwen3;
  std::vector<std::string> architectures;
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 0;
  RopeScaling rope_scaling;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  DType dtype = DType::bf16;  // torch_dtype / dtype
  // Sliding window of layer i, 0 for none. Resolved from use_sliding_window, sliding_window,
  // max_window_layers, layer_types and the model class's own rule (docs/model.md).
  std::vector<int64_t> layer_sliding_window;
  // Ours: "official" (norm, then RoPE) or "after_rope" (key qk_norm_order).
  bool qk_norm_after_rope = false;

  // Mixture of experts (qwen3_moe); zero / empty for dense.
  int64_t num_experts = 0;
  int64_t num_experts_per_tok = 0;
  int64_t moe_intermediate_size = 0;
  bool norm_topk_prob = false;
  double router_aux_loss_coef = 0.001;
  // layer_is_sparse[i]: resolved from decoder_sparse_step (or moe_layer_freq), mlp_only_layers.
  std::vector<bool> layer_is_sparse;

  std::optional<int32_t> bos_token_id, pad_token_id;
  std::vector<int32_t> eos_token_ids;  // eos_token_id, one or several
};

// `where` begins every message ("qwen3-8b/config.json"). Throws Error{corrupt_file} for missing,
// ill-typed, out-of-range or inconsistent values, Error{unsupported} for values we do not implement
// (hidden_act other than silu, another model_type, an unknown rope type, quantised checkpoints).
HfConfig parse_hf_config(std::string_view json, std::string_view where);

// Sampling defaults that a checkpoint asks for; absent keys stay empty.
struct GenerationConfig {
  std::optional<bool> do_sample;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k, max_new_tokens;  // top_k 0 or -1: off
  std::vector<int32_t> eos_token_ids;
};
GenerationConfig parse_generation_config(std::string_view json, std::string_view where);

}  // namespace qwen3
