#include "engine/batch_builder.h"

#include <algorithm>

#include "base/checked.h"

namespace qwen3 {

BatchBuilder::BatchBuilder(int64_t block_size, int64_t max_batch_tokens, int64_t max_sequences)
    : block_size_(block_size) {
  const auto n_tokens = static_cast<size_t>(max_batch_tokens);
  const auto n_seqs = static_cast<size_t>(max_sequences);
  token_ids_.reserve(n_tokens);
  positions_.reserve(n_tokens);
  slot_mapping_.reserve(n_tokens);
  cu_seqlens_q_.reserve(n_seqs + 1);
  kv_lens_.reserve(n_seqs);
  logit_rows_.reserve(n_seqs);
  logit_owners_.reserve(n_seqs);
}

Batch BatchBuilder::build(std::span<const Slice> slices) {
  token_ids_.clear();
  positions_.clear();
  slot_mapping_.clear();
  cu_seqlens_q_.assign(1, 0);
  kv_lens_.clear();
  logit_rows_.clear();
  logit_owners_.clear();
  hidden_rows_.clear();
  hidden_owners_.clear();
  for (const Slice& slice : slices) append(slice);

  // Tables only as wide as the longest sequence of this step needs.
  const int32_t longest = kv_lens_.empty() ? 0 : std::ranges::max(kv_lens_);
  const int64_t width = ceil_div(longest, block_size_);
  block_tables_.assign(static_cast<size_t>(width) * slices.size(), -1);
  auto row = block_tables_.begin();
  for (size_t i = 0; i < slices.size(); ++i, row += width) {
    std::copy_n(slices[i].sequence->blocks.begin(), ceil_div(kv_lens_[i], block_size_), row);
  }
  return {.token_ids = token_ids_,
          .positions = positions_,
          .slot_mapping = slot_mapping_,
          .cu_seqlens_q = cu_seqlens_q_,
          .kv_lens = kv_lens_,
          .block_tables = block_tables_,
          .max_blocks_per_seq = width,
          .logit_rows = logit_rows_,
          .hidden_rows = hidden_rows_};
}

void BatchBuilder::append(const Slice& slice) {
  const Sequence& s = *slice.sequence;
  const int64_t end = slice.begin + slice.count;
  for (int64_t i = slice.begin; i < end; ++i) {
    token_ids_.push_back(s.tokens[static_cast<size_t>(i)]);
    positions_.push_back(static_cast<int32_t>(i));
    slot_mapping_.push_back(s.blocks[static_cast<size_t>(i / block_size_)] * block_size_ +
                            i % block_size_);
  }
  cu_seqlens_q_.push_back(static_cast<int32_t>(token_ids_.size()));
  kv_lens_.push_back(static_cast<int32_t>(end));
  append_outputs(slice);
}

// Rows that score the prompt, then the newest token's.
void BatchBuilder::append_outputs(const Slice& slice) {
  Sequence& s = *slice.sequence;
  const int64_t end = slice.begin + slice.count;
  const int64_t first_row = static_cast<int64_t>(token_ids_.size()) - slice.count;
  const auto want_logits = [&](int64_t position) {
    logit_rows_.push_back(static_cast<int32_t>(first_row + position - slice.begin));
    logit_owners_.push_back({&s, position});
  };
  for (int64_t i = std::max(slice.begin, s.n_scored); i < std::min(end, s.n_to_score); ++i) {
    want_logits(i);
  }
  if (!slice.samples()) return;
  if (s.embed) {
    hidden_rows_.push_back(static_cast<int32_t>(token_ids_.size()) - 1);
    hidden_owners_.push_back(&s);
  } else {
    want_logits(end - 1);
  }
}

}  // namespace qwen3
