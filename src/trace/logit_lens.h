// LogitLens: what the model would say if it stopped after each layer. The residual stream after
// every layer goes through the final norm and the head, and the most probable tokens are kept
// (nostalgebraist, "interpreting GPT: the logit lens", 2020).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "trace/tap.h"

namespace qwen3 {

struct LensToken {
  int32_t id = 0;
  float probability = 0;
};

class LogitLens final : public Tap {
 public:
  // Rows of the residual stream to logits [n_rows, vocab_size], valid until the next call.
  using Project = std::function<Tensor(const Tensor& rows)>;

  static constexpr int64_t kChunkRows = 16;

  // Looks at the last n_rows tokens of all passes (all when there are fewer), at most kChunkRows of
  // them in one call of `project`, and keeps n_best predictions of each. Ids from n_real_tokens on
  // are padding of the head and are left out (0: all are real).
  LogitLens(Project project, int64_t n_rows, int64_t n_best, int64_t n_real_tokens)
      : project_(std::move(project)),
        n_rows_(n_rows),
        n_best_(n_best),
        n_real_tokens_(n_real_tokens) {}

  void begin_step(std::span<const int32_t> positions) override;
  bool wants(std::string_view name) const override;  // the residual stream after each layer
  void tensor(std::string_view name, const Tensor& value) override;

  // [layer][row][rank]; the first row is token first_row() of the sequence.
  using Predictions = std::vector<std::vector<std::vector<LensToken>>>;
  const Predictions& layers() const { return layers_; }
  int64_t first_row() const { return first_row_; }

 private:
  Project project_;
  int64_t n_rows_, n_best_, n_real_tokens_;
  int64_t position_ = 0;  // of the first row of the running pass
  int64_t first_row_ = 0;
  Predictions layers_;
};

// The n_best most probable of n logits, most probable first; of equals the lower id.
std::vector<LensToken> most_probable(const float* logits, int64_t n, int64_t n_best);

}  // namespace qwen3
