// Run: what one forward pass needs besides weights and batch: the operations, the buffers, the tap.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "formats/hf_config.h"
#include "kernels/backend.h"
#include "model/weights.h"
#include "parallel/step_windows.h"
#include "tensor/storage.h"
#include "trace/tap.h"

namespace qwen3 {

// Activations of one forward pass, sized once for the largest batch. Members are views of max_tokens
// rows; first_rows() cuts them to the batch. In the backend's activation_dtype() or, where it says
// so, in float32.
struct Buffers {
  Tensor x;              // [n_tokens, hidden_size] float32, the residual stream
  Tensor h;              // [n_tokens, hidden_size] normalised input of a block
  Tensor product;        // [n_tokens, hidden_size] float32, a block's output on its own
  Tensor q, mix;         // [n_tokens, n_heads * head_dim]
  Tensor k, v;           // [n_tokens, n_kv_heads * head_dim]
  Tensor cos, sin;       // [n_tokens, head_dim / 2] float32
  Tensor gate, up;       // [n_tokens, intermediate_size]
  Tensor router_logits;  // [n_tokens, num_experts] float32
  Tensor gate_weights;   // [n_tokens, num_experts_per_tok] float32
  // [n_sparse_layers, n_tokens, num_experts_per_tok] int32, dense: a place for each layer, so that
  // who wants to know what a step chose reads it behind the step.
  Tensor experts;

  Buffers first_rows(int64_t n_tokens) const;
};

// Lays the buffers out in `arena` (which may only be measuring).
Buffers make_buffers(Arena& arena, const HfConfig& config, int64_t max_tokens, DType activations);

class Run {
 public:
  // `tap` may be null. All is borrowed for the duration of one forward pass.
  Run(Backend& backend,
      const HfConfig& model_config,
      const BoundBatch& bound_batch,
      const Buffers& batch_buffers,
      StepWindows* group_windows,
      Tap* tap);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Backend& ops;
  const HfConfig& config;
  const BoundBatch& batch;
  const Buffers& buffers;
  StepWindows* const windows;  // of a rank's group; null: alone

  Norm norm(const Tensor& weight) const {
    return {weight, static_cast<float>(config.rms_norm_eps)};
  }

  bool watched() const { return kTaps && tap_ != nullptr; }
  // Whether somebody listens and wants the tensor of this name.
  bool wants(std::string_view name) { return watched() && wanted(name); }
  // Shows a tensor to whoever wants it: a null check when nobody listens.
  void tap(std::string_view name, const Tensor& value) {
    if (watched()) emit(name, value);
  }
  // Prefix of the names to come: "layers.3." or "layers.3.self_attn.". The two norms of a layer, which
  // its blocks take, keep the layer's prefix.
  void scope(int64_t layer, std::string_view block = "");

  // Where the next sparse layer puts its choice: one place for each, in the order of the layers.
  Routing next_routing();

  // Runs an operation that can show tensors of these names: as its definition if somebody wants one of
  // them, else as it is.
  template <typename Operation>
  void showing(std::initializer_list<std::string_view> names, const Operation& operation) {
    const Observed scope(ops, wants_any(names) ? &observer_ : nullptr);
    operation();
  }

  // The first `n_features` columns' worth of a buffer as a dense tensor: layers that ranks share are
  // not all as wide as the widest.
  static Tensor narrow(const Tensor& buffer, int64_t n_features) {
    if (buffer.dim(1) == n_features) return buffer;
    return {buffer.data(), buffer.dtype(), {buffer.dim(0), n_features}, buffer.place()};
  }

  // x += y · wᵀ (+ bias), by ranks together where there are some. The product is shown under `name` to
  // who wants it. `name` is a literal.
  void project_and_add(const Tensor& x, const Tensor& y, const SummedLinear& w, const char* name);
  // x += the sum over all ranks' experts. REQUIRES: windows.
  void sum_experts_and_add(const Tensor& x,
                           const Routing& routing,
                           const MoeWeights& w,
                           const char* name);

 private:
  // For its life, which a listener that throws ends too.
  class Observed {
   public:
    Observed(Backend& ops, const Observer* observer) : ops_(ops) { ops_.set_observer(observer); }
    ~Observed() { ops_.set_observer(nullptr); }
    Observed(const Observed&) = delete;
    Observed& operator=(const Observed&) = delete;

   private:
    Backend& ops_;
  };

  void add_sum(const Tensor& x, const SumTree& tree, const Tensor& bias, const char* name);
  bool wants_any(std::initializer_list<std::string_view> names);
  std::string_view full(std::string_view name);
  bool wanted(std::string_view name) { return tap_->wants(full(name)); }
  void emit(std::string_view name, const Tensor& value);

  Tap* tap_;
  HostBuffer host_;           // of the tensor that is shown
  std::string scope_, name_;  // name_: the scope, then the name last asked for
  size_t layer_size_ = 0;     // of the layer's prefix in scope_
  int64_t n_routed_ = 0;      // sparse layers so far
  Observer observer_;
};

}  // namespace qwen3
