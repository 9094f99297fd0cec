// Training losses, for comparing with the reference and for studying routing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace qwen3 {

// Mean cross-entropy in nats of predicting labels[i + 1] from logits row i, rows whose label is
// -100 left out (transformers ForCausalLMLoss). logits [n_tokens, vocab_size], labels [n_tokens],
// each -100 or in [0, vocab_size). NaN when no label remains, as in PyTorch.
double cross_entropy(const Tensor& logits, std::span<const int32_t> labels);

// The router logits of every sparse layer, [n_tokens, n_experts] each, rows in the same order.
using RouterLogits = std::span<const Tensor>;

// transformers' load_balancing_loss_func: over the concatenation of all layers' rows,
//   n_experts · Σ_{k,e} f[k,e] · P[e],  f = mean of one_hot(top-k), P = mean of softmax.
// Balanced routing gives top_k. Zero when there are no sparse layers.
double load_balancing_loss(RouterLogits layers, int64_t top_k);

// The educational definition: per layer n_experts · Σ_e mean_{t,k}(one_hot) · mean_t(softmax), then
// the mean over layers. Balanced routing gives 1.
double educational_load_balancing_loss(RouterLogits layers, int64_t top_k);

}  // namespace qwen3
