// Qwen3Runner: the runner of a model, or of what a rank holds of one.
#pragma once

#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "engine/model_impl.h"
#include "engine/model_runner.h"
#include "model/qwen3.h"
#include "parallel/step_windows.h"
#include "trace/tracing_backend.h"

namespace qwen3 {

class Qwen3Runner final : public ModelRunner {
 public:
  // `windows`: of a rank; borrowed.
  Qwen3Runner(std::shared_ptr<Model> model,
              const RunnerOptions& options,
              StepWindows* windows = nullptr)
      : model_(std::move(model)),
        impl_(impl_of(*model_)),
        kv_(impl_.buffers_config(), *impl_.backend, options.kv) {
    const std::lock_guard lock(impl_.backend_mutex);
    if (options.operations != nullptr) {
      timed_ = make_tracing_backend(*impl_.backend, *options.operations);
    }
    qwen3_.emplace(impl_.buffers_config(),
                   impl_.weights,
                   timed_ ? *timed_ : *impl_.backend,
                   options.max_batch_tokens,
                   options.max_logit_rows,
                   options.max_model_len,
                   windows);
  }

  int64_t vocab_size() const override { return impl_.config.vocab_size; }

  Tensor run(const Batch& batch, Tap* tap) override {
    const std::lock_guard lock(impl_.backend_mutex);
    logits_ = qwen3_->forward(batch, kv_.layers(), tap);
    if (logits_.place() == Place::device && tap == nullptr && scans_) return logits_;
    return impl_.backend->to_host(logits_, logits_on_host_);
  }

  std::span<const RowScan> scans(int64_t n_real) override {
    const std::lock_guard lock(impl_.backend_mutex);
    scans_ = impl_.backend->scan(logits_, n_real, scanned_, row_scans_);
    return row_scans_;
  }

  Tensor host_rows(const Tensor& logits, int64_t first, int64_t n) override {
    const std::lock_guard lock(impl_.backend_mutex);
    return impl_.backend->to_host(logits.rows(first, n), logits_on_host_);
  }

  Tensor hidden() override { return impl_.backend->to_host(qwen3_->hidden(), hidden_); }

  Tensor experts() override {
    const std::lock_guard lock(impl_.backend_mutex);
    return impl_.backend->to_host(qwen3_->experts(), experts_);
  }

  // The team computes for one at a time. Whoever else has it keeps it for a whole forward pass: longer
  // than this takes alone.
  void for_each_row(int64_t n_rows, const RowBody& body) override {
    const std::unique_lock lock(impl_.backend_mutex, std::try_to_lock);
    if (lock.owns_lock()) {
      impl_.threads->parallel_for(n_rows, body);
    } else {
      ModelRunner::for_each_row(n_rows, body);
    }
  }

  // Of the latest run: a hash of the residual stream behind the last layer.
  uint64_t residual_hash() {
    const std::lock_guard lock(impl_.backend_mutex);
    return impl_.backend->checksum(qwen3_->residual());
  }

  int n_threads() const override { return impl_.threads->size(); }

 private:
  std::shared_ptr<Model> model_;
  Model::Impl& impl_;
  std::unique_ptr<Backend> timed_;  // around the model's; null: nobody wants the time
  KvCache kv_;
  std::optional<Qwen3> qwen3_;
  Tensor logits_;  // of the last run, where the backend has them
  bool scans_ = true;
  std::vector<RowScan> row_scans_;
  HostBuffer logits_on_host_, hidden_, scanned_, experts_;
};

}  // namespace qwen3
