#include "cli/measure/step_cost.h"

#include <algorithm>
#include <cmath>

#include "model/weights.h"

namespace qwen3::cli {
namespace {

double as_double(int64_t n) { return static_cast<double>(n); }

double head_parameters(const HfConfig& config) {
  return as_double(config.vocab_size) * as_double(config.hidden_size);
}

double sparse_layers(const HfConfig& config) {
  return as_double(std::count(config.layer_is_sparse.begin(), config.layer_is_sparse.end(), true));
}

// Of one expert.
double expert_parameters(const HfConfig& config) {
  return 3 * as_double(config.moe_intermediate_size) * as_double(config.hidden_size);
}

}  // namespace

double decode_bytes(const HfConfig& config, const ModelInfo& info, int64_t batch, double kv_len) {
  double parameters = as_double(n_active_parameters(config));
  if (config.num_experts > 0) {
    const double picked = as_double(config.num_experts_per_tok);
    const double share = picked / as_double(config.num_experts);
    const double touched =
        as_double(config.num_experts) * (1 - std::pow(1 - share, as_double(batch)));
    parameters += sparse_layers(config) * expert_parameters(config) * (touched - picked);
  }
  const double bytes_per_parameter =
      as_double(info.weight_bytes) / std::max(1.0, as_double(info.n_parameters));
  return parameters * bytes_per_parameter +
         as_double(batch) * kv_len * as_double(info.kv_bytes_per_token);
}

double prefill_flops(const HfConfig& config, int64_t n_tokens, int64_t context) {
  const double n = as_double(n_tokens);
  const double body = as_double(n_active_parameters(config)) - head_parameters(config);
  // Row r sees context + r + 1 keys.
  const double visible_keys = n * as_double(context) + n * (n + 1) / 2;
  const double attention = 4 * as_double(config.num_attention_heads) * as_double(config.head_dim) *
                           as_double(config.num_hidden_layers) * visible_keys;
  return 2 * body * n + attention + 2 * head_parameters(config);
}

}  // namespace qwen3::cli
