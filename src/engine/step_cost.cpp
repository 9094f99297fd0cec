#include "engine/step_cost.h"

#include <algorithm>
#include <cmath>

namespace qwen3 {
namespace {

double as_double(int64_t n) { return static_cast<double>(n); }

double head_parameters(const ModelShape& shape) {
  return as_double(shape.vocab_size) * as_double(shape.hidden_size);
}

double sparse_layers(const ModelShape& shape) {
  return as_double(std::count(shape.layer_is_sparse.begin(), shape.layer_is_sparse.end(), true));
}

// Of one expert.
double expert_parameters(const ModelShape& shape) {
  return 3 * as_double(shape.moe_intermediate_size) * as_double(shape.hidden_size);
}

double step_bytes(const ModelInfo& info, double parameters, double kv_tokens) {
  const double bytes_per_parameter =
      as_double(info.weight_bytes) / std::max(1.0, as_double(info.n_parameters));
  return parameters * bytes_per_parameter + kv_tokens * as_double(info.kv_bytes_per_token);
}

}  // namespace

double decode_bytes(const ModelShape& shape, const ModelInfo& info, int64_t batch, double kv_len) {
  double parameters = as_double(info.n_active_parameters);
  if (shape.num_experts > 0) {
    const double picked = as_double(shape.num_experts_per_tok);
    const double share = picked / as_double(shape.num_experts);
    const double touched =
        as_double(shape.num_experts) * (1 - std::pow(1 - share, as_double(batch)));
    parameters += sparse_layers(shape) * expert_parameters(shape) * (touched - picked);
  }
  return step_bytes(info, parameters, as_double(batch) * kv_len);
}

double decode_bytes(const ModelInfo& info, double kv_len) {
  return step_bytes(info, as_double(info.n_active_parameters), kv_len);
}

double prefill_flops(const ModelShape& shape,
                     const ModelInfo& info,
                     int64_t n_tokens,
                     int64_t context) {
  const double n = as_double(n_tokens);
  const double body = as_double(info.n_active_parameters) - head_parameters(shape);
  // Row r sees context + r + 1 keys.
  const double visible_keys = n * as_double(context) + n * (n + 1) / 2;
  const double attention = 4 * as_double(shape.num_attention_heads) * as_double(shape.head_dim) *
                           as_double(shape.num_hidden_layers) * visible_keys;
  return 2 * body * n + attention + 2 * head_parameters(shape);
}

}  // namespace qwen3
