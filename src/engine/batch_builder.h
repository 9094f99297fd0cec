// BatchBuilder: lays the slices of a step out as a Batch (kernels/batch.h shows one). Its arrays
// keep their capacity, so that a steady stream of steps allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/scheduler.h"
#include "kernels/batch.h"

namespace qwen3 {

class BatchBuilder {
 public:
  BatchBuilder(int64_t block_size, int64_t max_batch_tokens, int64_t max_sequences);

  // The batch points into this object until the next call. Logit row i belongs to sampling()[i].
  Batch build(std::span<const Slice> slices);
  std::span<Sequence* const> sampling() const { return sampling_; }

 private:
  void append(const Slice& slice);

  int64_t block_size_;
  std::vector<int32_t> token_ids_, positions_, cu_seqlens_q_, kv_lens_, block_tables_, logit_rows_;
  std::vector<int64_t> slot_mapping_;
  std::vector<Sequence*> sampling_;
};

}  // namespace qwen3
