// Shard: the part of a model that one rank of a group holds.
//
// What is split (query heads, blocks of columns, experts, groups of ids) is dealt to eight leaves
// (tensor/leaves.h), which belong to the model and not to the group. A rank owns consecutive leaves; what
// it adds up are the maximal aligned subtrees that lie within them, its nodes:
//
//   leaves            0 1 2 3 4 5 6 7
//   3 ranks           0 0 1 1 1 2 2 2
//   nodes of rank 1       [2,4) [4,5)         (not [3,5): no subtree)
//   nodes of rank 2             [5,6) [6,8)
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/leaves.h"

namespace qwen3 {

struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  bool empty() const { return end <= begin; }
  bool operator==(const Range&) const = default;
};

struct Shard {
  int rank = 0, size = 1;  // size in [1, kLeaves]
  int size_here = 0;       // of them on this host, whose memory they share; 0: all

  int n_here() const { return size_here > 0 ? size_here : size; }

  bool alone() const { return size == 1; }
  Range leaves() const { return leaves_of(rank); }
  Range leaves_of(int other) const {
    return {kLeaves * other / size, kLeaves * (other + 1) / size};
  }
};

// What lies in those leaves. May be empty.
Range share(const Leaves& all, Range leaves);

// The maximal aligned subtrees within `leaves`, ascending: one, or two for 3 and 5 ranks.
inline constexpr int kMaxNodes = 2;
std::vector<Range> nodes_of(Range leaves);

// Which query heads a rank has, and which kv heads those read. A rank whose heads cut a group of query
// heads works with smaller groups, and has a kv head once for each of them.
struct HeadShare {
  Range query_heads;
  std::vector<int64_t>
      kv_heads;  // ascending, of the model; each read by the same number of query heads
};
// n_heads is a multiple of n_kv_heads; `query_heads` lies within [0, n_heads).
HeadShare head_share(int64_t n_heads, int64_t n_kv_heads, Range query_heads);

// The rows of the embedding table and of the head: groups of kVocabularyUnit ids are the units. A
// vocabulary of fewer than eight of them lies with rank 0, whom logits come back to.
inline constexpr int64_t kVocabularyUnit = 1024;
Range vocabulary_share(int64_t vocab_size, const Shard& shard);

}  // namespace qwen3
