// Perplexity of a model on a text: how surprised it is by each token, given those before.
//
//   nll = -Σ ln p(token)   perplexity = exp(nll / tokens)   bits per byte = nll / (bytes · ln 2)
//
// Bits per byte compare models with different tokenizers; perplexity per token does not.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/json.h"
#include "eval/likelihood/block_mean.h"
#include "eval/likelihood/text_windows.h"
#include "qwen3/model.h"

namespace qwen3 {

struct Perplexity {
  int64_t n_tokens = 0;  // of the text
  int64_t n_windows = 0;
  int64_t context = 0, stride = 0;
  TextSize text;  // of the scored tokens
  BlockMean nll;  // of each scored token, in nats; blocks are windows

  double perplexity() const;
  std::optional<double> perplexity_error() const;  // standard error
  double bits_per_byte() const;
};

// Throws Error as LogitStream and sliding_windows do.
Perplexity measure_perplexity(const std::shared_ptr<Model>& model,
                              const Tokenizer& tokenizer,
                              std::span<const int32_t> ids,
                              const WindowOptions& options = {});

Json perplexity_json(const Perplexity& result);

}  // namespace qwen3
