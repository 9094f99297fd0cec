// Qwen3: the whole forward pass, written once for every backend, dense and mixture-of-experts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/rope.h"
#include "model/run.h"
#include "model/weights.h"
#include "parallel/step_windows.h"

namespace qwen3 {

class Qwen3 {
 public:
  // Borrows config, weights and backend. Allocates buffers for batches of up to max_tokens rows, of
  // which up to max_logit_rows get logits or give their hidden state, and for sequences of up to
  // max_kv_len keys.
  // Of a rank, `config` is WeightsInMemory::widest, and `windows` (borrowed) those of its group.
  Qwen3(const HfConfig& config,
        const Weights& weights,
        Backend& backend,
        int64_t max_tokens,
        int64_t max_logit_rows,
        int64_t max_kv_len,
        StepWindows* windows = nullptr);

  // Runs a batch. kv: one entry per layer. Returns logits [n_logit_rows, vocab_size], float32, in the
  // backend's memory, valid until the next call. `tap` may be null. REQUIRES: batch as batch.h says; sizes within the
  // limits given above.
  Tensor forward(const Batch& batch, std::span<const KvLayer> kv, Tap* tap = nullptr);

  // After the last norm, of the latest forward's hidden_rows: [n_hidden_rows, hidden_size],
  // float32, in the backend's memory, valid until the next.
  Tensor hidden() const { return hidden_; }

  // The experts that the latest forward's tokens went to, best first: [n_sparse_layers, n_rows,
  // num_experts_per_tok], int32, in the backend's memory, valid until the next. n_rows >= the batch's
  // tokens: rows behind them mean nothing. Empty for a dense model.
  Tensor experts() const { return experts_; }

  // The residual stream behind the last layer, of the latest forward: [n_tokens, hidden_size].
  Tensor residual() const { return residual_; }

  // Bytes that the constructor allocates, for the memory plan.
  static int64_t buffer_bytes(const HfConfig& config,
                              const Backend& backend,
                              int64_t max_tokens,
                              int64_t max_logit_rows,
                              int64_t max_kv_len);

  const HfConfig& config() const { return config_; }
  Backend& backend() const { return backend_; }

 private:
  void forward(const BoundBatch& batch, std::span<const KvLayer> kv, Tap* tap);
  Tensor logits(int64_t n_rows) const;

  const HfConfig& config_;
  const Weights& weights_;
  Backend& backend_;
  RopeTable rope_;
  Storage storage_;
  Buffers buffers_;
  Tensor selected_;             // [max_logit_rows, hidden_size]
  Tensor logits_;               // [max_logit_rows, vocab_size]
  Tensor hidden_;               // rows of selected_
  Tensor experts_;              // of buffers_
  Tensor residual_;             // rows of buffers_
  StepWindows* const windows_;  // of a rank's group; null: alone
  const Range vocabulary_;      // ids of the rows that this rank has
};

}  // namespace qwen3
