// ModelRunner: what the engine knows of a model: a batch goes in, logits and hidden states come
// out, and between two batches its threads may be borrowed. Tests drive the engine with a model of
// their own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "engine/kv_cache.h"
#include "kernels/backend.h"
#include "kernels/batch.h"
#include "qwen3/error.h"
#include "qwen3/model.h"
#include "tensor/tensor.h"
#include "trace/span_log.h"
#include "trace/tap.h"

namespace qwen3 {

using RowBody = std::function<void(int64_t row, int thread)>;

class ModelRunner {
 public:
  virtual ~ModelRunner() = default;
  virtual int64_t vocab_size() const = 0;
  // Logits [n_logit_rows, vocab_size], float32, valid until the next call: of the host and writable, or
  // of a device, and then scans() and host_rows() say what is to be known of them.
  // With a tap the batch has one sequence, the tap sees its tensors, and the logits are the host's.
  virtual Tensor run(const Batch& batch, Tap* tap = nullptr) = 0;
  // Of the rows of the last run() on a device, the first n_real numbers scanned.
  virtual std::span<const RowScan> scans(int64_t n_real) {
    static_cast<void>(n_real);
    return {};
  }
  // Some rows of those logits, writable, valid until the next call.
  virtual Tensor host_rows(const Tensor& logits, int64_t first, int64_t n) {
    return logits.rows(first, n);
  }
  // Final hidden states of that batch's hidden_rows: [n_hidden_rows, hidden_size], float32, valid
  // until the next run. A runner that has none throws Error{unsupported}.
  virtual Tensor hidden() {
    throw Error(ErrorKind::unsupported, "this model runner gives no hidden states");
  }
  // The experts that the tokens of the last run() went to, best first: [n_sparse_layers, n_rows,
  // top_k], int32, of the host, n_rows >= the batch's tokens; valid until the next call. A runner
  // without experts throws Error{unsupported}.
  virtual Tensor experts() {
    throw Error(ErrorKind::unsupported, "this model runner has no experts");
  }
  // Calls body(row, thread) once for each row in [0, n_rows), in any order, thread in [0,
  // n_threads()), on the model's team of threads; returns when all are done. `body` must not throw
  // and must not run the model. By itself, on the caller.
  virtual void for_each_row(int64_t n_rows, const RowBody& body) {
    for (int64_t row = 0; row < n_rows; ++row) body(row, 0);
  }
  virtual int n_threads() const { return 1; }
};

struct RunnerOptions {
  KvCacheShape kv;
  int64_t max_batch_tokens = 0;
  int64_t max_sequences = 1;  // of one batch
  int64_t max_logit_rows = 0;
  int64_t max_model_len = 0;
  SpanLog* operations = nullptr;  // as EngineOptions'
};

// Runs the model's forward pass over a KV cache of its own: by ranks together, where they share the
// model. Keeps the model alive.
std::unique_ptr<ModelRunner> make_model_runner(std::shared_ptr<Model> model,
                                               const RunnerOptions& options);

}  // namespace qwen3
