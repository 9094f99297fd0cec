// Byte-pair encoding: a piece of text starts as single-byte tokens; again and again the adjacent
// pair with the lowest rank, the leftmost among equals, becomes one token, until no pair has a
// rank.
//
// Three ways lead to the same ids:
//   the piece is a token that merging would rebuild    one look-up
//   short pieces                                       arrays, scanned for the lowest rank
//   long pieces                                        linked list, positions queued by rank
//
// The last is O(n log n) when every merge stands after the merges that make its parts, as training
// leaves them; pieces of 4 MiB are fine.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/huge_page_allocator.h"
#include "tokenizer/rank_queue.h"
#include "tokenizer/vocabulary.h"

namespace qwen3 {

struct Merge {
  int32_t left;
  int32_t right;
  int32_t result;
};

enum class IgnoreMerges {
  no,
  yes
};  // yes: a piece that is a token is that token, whatever merging

class Bpe {
 public:
  // The working memory of one call at a time; keep it over many pieces.
  struct Scratch {
    struct Symbol {
      int32_t id, previous, next;
      uint32_t rank;  // of the pair (this, next)
    };
    std::vector<Symbol, HugePageAllocator<Symbol>> symbols;
    RankQueue queue;
  };

  // `merges` in the order of their ranks; `where` begins error messages.
  // Throws Error{corrupt_file} when a pair occurs twice.
  // REQUIRES: every id of `merges` lies in `vocabulary`, and every byte has a token there.
  Bpe(Vocabulary vocabulary,
      const std::vector<Merge>& merges,
      IgnoreMerges ignore_merges,
      std::string_view where);

  // Appends the ids of one piece. Thread-safe with one Scratch per thread.
  // REQUIRES: piece.size() < 2^31.
  void encode(std::string_view piece, std::vector<int32_t>& ids, Scratch& scratch) const;

  int32_t byte_token(unsigned char byte) const { return byte_tokens_[byte]; }
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Pair {
    uint64_t key = kNoKey;  // left << 32 | right
    uint32_t rank = kNoRank;
    int32_t result = -1;
  };
  static constexpr uint64_t kNoKey = ~uint64_t{0};
  static constexpr uint32_t kNoRank = ~uint32_t{0};

  bool add_pair(const Merge& merge, uint32_t rank);  // false when the pair exists already
  const Pair& find_pair(int32_t left, int32_t right) const;
  uint32_t rank_of(int32_t left, int32_t right) const;
  void merge(std::string_view piece, std::vector<int32_t>& ids, Scratch& scratch) const;
  void merge_short(std::string_view piece, std::vector<int32_t>& ids) const;
  void merge_long(std::string_view piece, std::vector<int32_t>& ids, Scratch& scratch) const;

  Vocabulary vocabulary_;
  int32_t byte_tokens_[256] = {};
  size_t n_merges_;
  std::vector<Pair> pairs_;  // a flat hash, at most two thirds full
  int pair_shift_ = 0;
  // Most pairs that are asked for do not exist. This Bloom filter of 8 to 16 bits per merge stays
  // in the second-level cache, where pairs_ (8 MB for Qwen3) does not.
  std::vector<uint64_t> filter_;
  int filter_shift_ = 0;
  std::vector<bool> whole_;  // by id: a piece equal to this token encodes to it alone
  size_t longest_whole_ = 0;
};

}  // namespace qwen3
