#include "cli/trace/model_facts.h"

#include <utility>

#include "formats/hf_config.h"

namespace qwen3::cli {

ModelFacts facts_of(const HfConfig& c, std::string name) {
  ModelFacts facts;
  facts.name = std::move(name);
  facts.moe = c.model_type == ModelType::qwen3_moe;
  facts.num_hidden_layers = c.num_hidden_layers;
  facts.vocab_size = c.vocab_size;
  facts.hidden_size = c.hidden_size;
  facts.intermediate_size = c.intermediate_size;
  facts.moe_intermediate_size = c.moe_intermediate_size;
  facts.num_attention_heads = c.num_attention_heads;
  facts.num_key_value_heads = c.num_key_value_heads;
  facts.head_dim = c.head_dim;
  facts.num_experts = c.num_experts;
  facts.num_experts_per_tok = c.num_experts_per_tok;
  facts.norm_topk_prob = c.norm_topk_prob;
  facts.qk_norm_after_rope = c.qk_norm_after_rope;
  facts.max_position_embeddings = c.max_position_embeddings;
  facts.rms_norm_eps = c.rms_norm_eps;
  facts.rope_theta = c.rope_theta;
  facts.layer_is_sparse = c.layer_is_sparse;
  facts.layer_sliding_window = c.layer_sliding_window;
  return facts;
}

}  // namespace qwen3::cli
