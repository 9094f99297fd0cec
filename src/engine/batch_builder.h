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

  // The batch points into this object until the next call.
  Batch build(std::span<const Slice> slices);

  // The sequence of a logit row: logits that follow the token at `position`.
  struct LogitRow {
    Sequence* sequence;
    int64_t position;

    // Whether the row scores the prompt's next token; else it samples one.
    bool scores() const { return position < sequence->n_to_score; }
  };
  std::span<const LogitRow> logit_rows() const { return logit_owners_; }
  // The sequences that the hidden rows belong to.
  std::span<Sequence* const> hidden_rows() const { return hidden_owners_; }

 private:
  void append(const Slice& slice);
  void append_outputs(const Slice& slice);

  int64_t block_size_;
  std::vector<int32_t> token_ids_, positions_, cu_seqlens_q_, kv_lens_, block_tables_, logit_rows_,
      hidden_rows_;
  std::vector<int64_t> slot_mapping_;
  std::vector<LogitRow> logit_owners_;
  std::vector<Sequence*> hidden_owners_;
};

}  // namespace qwen3
