// Tap: a listener on the named tensors of a forward pass.
//
// Names are stable, documented in docs/model.md, and double as the keys of the golden tests:
//   rotary_cos   rotary_sin   embed_tokens
//   layers.{i}.input_layernorm
//   layers.{i}.self_attn.{q_proj,k_proj,v_proj}         [n_tokens, heads * head_dim]
//   layers.{i}.self_attn.{q_norm,k_norm,q_rope,k_rope}  [n_tokens, heads, head_dim]
//   layers.{i}.self_attn.probs      [n_heads, n_tokens, kv_len], per sequence, reference only
//   layers.{i}.self_attn.{mix,o_proj}
//   layers.{i}.attn_residual
//   layers.{i}.post_attention_layernorm
//   dense layers    layers.{i}.mlp.{gate_proj,up_proj,act,down_proj}
//   sparse layers   layers.{i}.mlp.{router_logits,routing_weights,selected_experts}
//                   layers.{i}.mlp.experts.{e}.{input,gate_proj,up_proj,act}
//                   layers.{i}.mlp.experts.{e}          [rows of e, hidden_size]
//                   layers.{i}.mlp.output
//   layers.{i}.output
//   norm   logits
#pragma once

#include <string_view>

#include "tensor/tensor.h"

namespace qwen3 {

class Tap {
 public:
  virtual ~Tap() = default;
  // Called on the thread that runs the model, in the order of execution. `value` is valid during
  // the call only and must not be written.
  virtual void tensor(std::string_view name, const Tensor& value) = 0;
};

}  // namespace qwen3
