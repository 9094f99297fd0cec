// The weights of a Qwen3 model, packed for a backend.
//
// Names and shapes are those of the Hugging Face checkpoint (docs/model.md lists them). HF's
// `mlp.gate` is called `router` here, because it is not gate_proj.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/progress.h"
#include "formats/hf_config.h"
#include "formats/tensor_source.h"
#include "kernels/backend.h"
#include "parallel/shard.h"
#include "parallel/sum_tree.h"
#include "tensor/storage.h"

namespace qwen3 {

// A layer whose inputs ranks share out, and whose product they sum (parallel/shard.h). Alone it is the
// whole layer. A rank has the inputs below its nodes, and leaves of the first one; the bias comes behind
// the sum.
struct SummedLinear : Linear {
  Linear second = {};  // of a rank's second node; empty: it has none
  SumTree tree = {};   // of all ranks' nodes
};

// Of a rank all heads, columns and experts below are those that it holds; a matrix of which it has
// nothing is empty.
struct AttentionWeights {
  Linear q_proj, k_proj, v_proj;  // [n_heads or n_kv_heads * head_dim, hidden_size]
  SummedLinear o_proj;            // [hidden_size, n_heads * head_dim]
  Tensor q_norm, k_norm;          // [head_dim] float32
};

struct MlpWeights {
  Linear gate_proj, up_proj;  // [intermediate_size, hidden_size]
  SummedLinear down_proj;     // [hidden_size, intermediate_size]
};

struct MoeWeights {
  Linear router;  // [num_experts, hidden_size]
  ExpertWeights experts;
  SumTree tree;  // of all ranks' nodes
};

struct LayerWeights {
  Tensor input_layernorm, post_attention_layernorm;  // [hidden_size] float32
  AttentionWeights self_attn;
  std::variant<MlpWeights, MoeWeights> mlp;
};

struct Weights {
  Weight embed_tokens;  // [vocab_size, hidden_size]
  std::vector<LayerWeights> layers;
  Tensor norm;  // [hidden_size] float32
  // [vocab_size, hidden_size]; the same weight as embed_tokens when tied. Empty when the checkpoint
  // is not tied and has no head: an embedding model, from which no logits can be asked.
  Linear lm_head;
  Storage storage;

  int64_t n_bytes() const { return storage.bytes(); }
};

enum class WeightsDType { as_stored, f32, bf16 };

struct WeightsInMemory {
  int64_t bytes;
  WeightType type;  // that most numbers of the matrices are kept in
  // The config with the heads, kv heads and columns of the rank that has most of them: what buffers and
  // caches of every rank are made for. Alone the config itself.
  HfConfig widest;
};
// What load_weights will allocate, from the headers. Throws what load_weights would throw for them.
WeightsInMemory weights_in_memory(const TensorSource& source,
                                  const Backend& backend,
                                  WeightsDType dtype,
                                  const Shard& shard = {});

// What random_weights will allocate: from the config alone. `type` is that of all matrices.
WeightsInMemory random_weights_in_memory(const HfConfig& config,
                                         const Backend& backend,
                                         WeightType type,
                                         const Shard& shard = {});

// Total number of parameters, a tied head counted once.
int64_t n_parameters(const HfConfig& config);
// Parameters that one token is multiplied with: experts only top_k times, and the embedding table
// only if it is the head too.
int64_t n_active_parameters(const HfConfig& config);

// Loads and packs every tensor, in parallel over `n_threads`; resident memory stays near one copy
// of the model: the files are read piece by piece and not through their mapping. Each tensor's
// presence, dtype and shape is checked against the config, and the total against the memory this
// process may use, before anything is allocated. as_stored keeps what the backend can compute with
// (Backend::kept_type) tensor by tensor (experts of one layer stored in different types become f32);
// other choices convert (f32 is exact; bf16 rounds to nearest even). Norms and biases become float32.
// Accepts per-expert tensors, transformers 5's fused mlp.experts.gate_up_proj / down_proj and stacks
// of gate_proj and up_proj apart (with or without ".weight"), mlx-lm's
// mlp.switch_mlp.{gate,up,down}_proj stacks, tied models that still store the table as lm_head
// (model/tied_head.h), a missing "model." prefix.
// A rank reads and keeps the rows and columns of its shard alone; its share of the free memory is that
// of one rank of many on a host.
// A tensor that the model has no place for is an Error{corrupt_file} (model/unused_tensors.h).
// `progress` counts bytes read and is called on the calling thread.
// Throws Error{not_found, corrupt_file, unsupported, out_of_memory, io}. A file that shrinks
// meanwhile is an Error{corrupt_file}.
Weights load_weights(const TensorSource& source,
                     const Backend& backend,
                     WeightsDType dtype,
                     int n_threads,
                     const Progress& progress,
                     const Shard& shard = {});

// Weights drawn from about N(0, 0.02²) (a sum of four uniforms) and rounded to `type`, norms 1,
// biases 0: for benchmarks from a bare config.json. The same seed gives the same weights on any
// thread count, and every rank its part of them. Throws Error{out_of_memory, invalid_argument}.
Weights random_weights(const HfConfig& config,
                       const Backend& backend,
                       WeightType type,
                       uint64_t seed,
                       int n_threads,
                       const Shard& shard = {});

}  // namespace qwen3
