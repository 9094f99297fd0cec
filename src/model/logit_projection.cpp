#include "model/logit_projection.h"

namespace qwen3 {

void project_logits(const Tensor& logits,
                    const Tensor& normed,
                    const Tensor& x,
                    const Weights& weights,
                    const HfConfig& config,
                    Backend& backend) {
  backend.rms_norm(normed, x, weights.norm, static_cast<float>(config.rms_norm_eps));
  backend.linear(logits, normed, weights.lm_head);
}

}  // namespace qwen3
