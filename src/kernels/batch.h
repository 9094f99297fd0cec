// Batch: the only way work reaches the model. Flat tokens of any mix of sequences, prefill chunks
// and decodes together. One sequence is a batch of one.
//
// Worked example, block_size 16: sequence A decodes its 21st token, sequence B prefills 3 tokens.
//   token_ids    = [a20, b0, b1, b2]        n_tokens = 4
//   positions    = [20, 0, 1, 2]
//   cu_seqlens_q = [0, 1, 4]                rows of A: [0,1), of B: [1,4)
//   kv_lens      = [21, 3]                  keys each sequence has once this batch is stored
//   block_tables = [[7, 2], [5, -1]]        A's positions 0..15 live in block 7, 16..31 in block 2
//   slot_mapping = [2*16+4, 5*16+0, 5*16+1, 5*16+2]
//                                           slot = block * block_size + position % block_size
//   logit_rows   = [0, 3]                   the rows whose logits are wanted
#pragma once

#include <cstdint>
#include <span>

namespace qwen3 {

struct Batch {
  std::span<const int32_t> token_ids;     // [n_tokens], each in [0, vocab_size)
  std::span<const int32_t> positions;     // [n_tokens], >= 0
  std::span<const int64_t> slot_mapping;  // [n_tokens]
  std::span<const int32_t> cu_seqlens_q;  // [n_seqs + 1], from 0 to n_tokens, increasing
  std::span<const int32_t> kv_lens;       // [n_seqs]; row r of sequence s (r counted from its own
                                          // first row) sees keys 0 .. kv_lens[s] - n_rows(s) + r
  std::span<const int32_t> block_tables;  // [n_seqs, max_blocks_per_seq], unused entries -1
  int64_t max_blocks_per_seq = 0;
  std::span<const int32_t> logit_rows;  // rows of the batch to compute logits for, increasing
  // Rows whose hidden state after the last norm is wanted, increasing.
  std::span<const int32_t> hidden_rows = {};

  int64_t n_tokens() const { return static_cast<int64_t>(token_ids.size()); }
  int64_t n_seqs() const { return static_cast<int64_t>(kv_lens.size()); }
};

}  // namespace qwen3
