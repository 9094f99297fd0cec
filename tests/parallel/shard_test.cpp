#include "parallel/shard.h"

#include <gtest/gtest.h>

#include <numeric>

namespace qwen3::test {
namespace {

TEST(Shard, RanksShareTheLeaves) {
  for (int size = 1; size <= kLeaves; ++size) {
    int64_t next = 0;
    for (int rank = 0; rank < size; ++rank) {
      const Range leaves = Shard{rank, size}.leaves();
      EXPECT_EQ(leaves.begin, next);
      EXPECT_FALSE(leaves.empty());
      next = leaves.end;
    }
    EXPECT_EQ(next, kLeaves);
  }
}

TEST(Shard, NodesAreMaximalAlignedSubtrees) {
  EXPECT_EQ(nodes_of({0, 8}), (std::vector<Range>{{0, 8}}));
  EXPECT_EQ(nodes_of({2, 5}), (std::vector<Range>{{2, 4}, {4, 5}}));
  EXPECT_EQ(nodes_of({5, 8}), (std::vector<Range>{{5, 6}, {6, 8}}));
  for (int size = 1; size <= kLeaves; ++size) {
    for (int rank = 0; rank < size; ++rank) {
      const auto nodes = nodes_of(Shard{rank, size}.leaves());
      EXPECT_LE(nodes.size(), size_t{kMaxNodes});
      EXPECT_EQ(nodes.size() == 1 || size == 3 || size == 5, true);
    }
  }
}

TEST(Shard, SharesMayBeUnevenOrEmpty) {
  EXPECT_EQ(share({.size = 4}, {0, 1}), (Range{0, 0}));
  EXPECT_EQ(share({.size = 4}, {1, 2}), (Range{0, 1}));
  EXPECT_EQ(share({.size = 12}, {2, 5}), (Range{3, 7}));
  EXPECT_EQ(share({.size = 151936, .unit = 1024}, {0, 8}), (Range{0, 151936}));
}

// For all small head counts: each query head reads its own kv head, and groups are of one size.
TEST(Shard, HeadsReadTheKvHeadsOfTheModel) {
  for (int64_t n_kv = 1; n_kv <= 4; ++n_kv) {
    for (int64_t group = 1; group <= 8; ++group) {
      const int64_t n_heads = n_kv * group;
      for (int size = 1; size <= kLeaves; ++size) {
        for (int rank = 0; rank < size; ++rank) {
          const Range heads = share({.size = n_heads}, Shard{rank, size}.leaves());
          const HeadShare mine = head_share(n_heads, n_kv, heads);
          ASSERT_EQ(mine.query_heads, heads);
          if (heads.empty()) {
            EXPECT_TRUE(mine.kv_heads.empty());
            continue;
          }
          const auto n = static_cast<int64_t>(mine.kv_heads.size());
          ASSERT_EQ(heads.size() % n, 0);
          for (int64_t h = 0; h < heads.size(); ++h) {
            EXPECT_EQ(mine.kv_heads[static_cast<size_t>(h / (heads.size() / n))],
                      (heads.begin + h) / group);
          }
        }
      }
    }
  }
}

// With the heads of Qwen3-8B and two ranks nothing is held twice.
TEST(Shard, EvenSplitsRepeatNoKvHead) {
  EXPECT_EQ(head_share(32, 8, {16, 32}).kv_heads, (std::vector<int64_t>{4, 5, 6, 7}));
  EXPECT_EQ(head_share(32, 4, {28, 32}).kv_heads, (std::vector<int64_t>{3}));
  EXPECT_EQ(head_share(6, 2, {2, 5}).kv_heads, (std::vector<int64_t>{0, 1, 1}));
}

TEST(Shard, VocabulariesAreSharedInThousandsAndSmallOnesNot) {
  for (const int64_t vocab_size : {67, 300, 7168, 8191, 151936, 151669}) {
    for (int size = 1; size <= kLeaves; ++size) {
      int64_t next = 0;
      for (int rank = 0; rank < size; ++rank) {
        const Range rows = vocabulary_share(vocab_size, {rank, size});
        if (rows.empty()) continue;
        EXPECT_EQ(rows.begin, next);
        EXPECT_EQ(rows.begin % kVocabularyUnit, 0);
        next = rows.end;
      }
      EXPECT_EQ(next, vocab_size);
      EXPECT_FALSE(vocabulary_share(vocab_size, {0, size}).empty());
    }
  }
  EXPECT_TRUE(vocabulary_share(7168, {1, 2}).empty());
}

}  // namespace
}  // namespace qwen3::test
