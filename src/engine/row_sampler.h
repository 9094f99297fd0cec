// RowSampler: chooses the tokens of a step's rows. It reads sequences and changes none, but that it tells the
// constraint of a row what was chosen: the engine decides what happens to a choice, row by row, so that events
// keep their order whichever row was done first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "engine/batch_builder.h"
#include "engine/constraint_workers.h"
#include "engine/model_runner.h"
#include "engine/sampler.h"
#include "tensor/tensor.h"

namespace qwen3 {

class RowSampler {
 public:
  virtual ~RowSampler() = default;

  // logits: [rows.size(), vocab_size], overwritten. Both stay borrowed until the last take().
  // REQUIRES: at most one row of a sequence samples (the next one depends on its token).
  virtual void choose(std::span<const BatchBuilder::LogitRow> rows, const Tensor& logits) = 0;

  // What row i of the last choose() got, valid until the next; throws what stood in the way. A
  // row that nobody wants any more need not be taken.
  virtual const Sampled& take(size_t i) = 0;
};

// Samples rows in host memory, or by what a device's scan says of them, on the model's team of threads with one Sampler each. A row whose
// request has a logits_processor waits for take(): foreign code runs on the engine's thread, one row
// after the other.
class HostRowSampler final : public RowSampler {
 public:
  // A thread's Sampler is made when its first row comes: 1.2 MB for a vocabulary of 151,936, and up
  // to 6 once a request keeps nearly all of it.
  // `workers`: told what the constraints of rows want next; null: rows do it themselves.
  HostRowSampler(ModelRunner& runner, int64_t n_real_tokens, ConstraintWorkers* workers = nullptr);

  void choose(std::span<const BatchBuilder::LogitRow> rows, const Tensor& logits) override;
  const Sampled& take(size_t i) override;

 private:
  struct Choice {
    Sampled sampled;
    std::exception_ptr thrown;
  };

  void choose_on_device();
  bool choose_by_scan(size_t i, const RowScan& scan);
  void prepare_constraints();
  void choose_whole_rows();
  SampleInput input_of(size_t i) const;
  void choose_now(size_t i, int thread) noexcept;
  Sampled compute(size_t i, int thread);
  void tell_constraint(const Sequence& s, Sampled& sampled);
  Sampler& sampler(int thread);

  ModelRunner& runner_;
  const int64_t n_real_tokens_;
  ConstraintWorkers* const workers_;
  std::vector<std::unique_ptr<Sampler>> samplers_;  // by thread; null until needed
  std::span<const BatchBuilder::LogitRow> rows_;
  Tensor logits_;  // on the host, from row first_on_host_ on
  size_t first_on_host_ = 0;
  std::vector<Choice> choices_;  // by row
  std::vector<size_t> now_;      // rows that do not wait
  std::vector<size_t> unready_;  // whose constraints nobody has asked yet
};

}  // namespace qwen3
