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

#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/tensor.h"

namespace qwen3 {

class Tap {
 public:
  virtual ~Tap() = default;
  // A forward pass begins: its rows are the tokens at these positions of one sequence, increasing.
  // The tensors that follow are this pass's, until the next one begins. evaluate() makes one pass;
  // a served request one for each prefill chunk and each decoded token, which together show every
  // position once, in order.
  virtual void begin_step(std::span<const int32_t> positions) { (void)positions; }
  // Whether to show it the tensor of this name. A tensor that a fused operation never holds is made
  // only when it is wanted. Of the insides of experts it is first asked for
  // "layers.{i}.mlp.experts": any of that layer? A needless yes costs time and nothing else. The
  // same answer throughout a pass.
  virtual bool wants(std::string_view name) const {
    (void)name;
    return true;
  }
  // Called on the thread that runs the model, in the order of execution. `value` is valid during
  // the call only and must not be written. What it does not want may come nevertheless.
  virtual void tensor(std::string_view name, const Tensor& value) = 0;
};

}  // namespace qwen3
