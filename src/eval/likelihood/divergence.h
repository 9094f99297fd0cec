// How far one model's predictions are from another's, token by token of a text: two precisions, two
// checkpoints with one vocabulary. P is the model that is trusted, Q the one that is judged.
//
//   KL(P‖Q) = Σ_v p(v) · (ln p(v) - ln q(v)) ≥ 0, in nats, zero where the two agree exactly
//
// Both models run side by side over a few rows at a time: neither text's logits are ever in memory
// whole.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/json.h"
#include "eval/likelihood/block_mean.h"
#include "eval/likelihood/perplexity.h"
#include "eval/likelihood/text_windows.h"
#include "qwen3/model.h"

namespace qwen3 {

struct Divergence {
  Perplexity p, q;
  BlockMean kl;                  // of each scored token; blocks are windows
  BlockMean nll_difference;      // of each scored token, q's minus p's
  BlockMean same_top;            // 1 where both find the same token most probable
  std::vector<float> kl_sorted;  // ascending

  // The smallest KL that at least a share `at` of the tokens does not exceed. 0 < at <= 1.
  double kl_quantile(double at) const;
};

// Throws Error{invalid_argument} naming the first token in which two tokenizers differ.
void check_same_vocabulary(const Tokenizer& p, const Tokenizer& q);

// Throws Error{invalid_argument} when the heads differ in size; else as measure_perplexity.
Divergence measure_divergence(const std::shared_ptr<Model>& p,
                              const std::shared_ptr<Model>& q,
                              const Tokenizer& tokenizer,
                              std::span<const int32_t> ids,
                              const WindowOptions& options = {});

Json divergence_json(const Divergence& result);

}  // namespace qwen3
