#include "engine/block_pool.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/error.h"

namespace qwen3 {
namespace {

using Content = BlockPool::Content;

TEST(BlockPool, HandsOutEveryBlockOnceThenNothing) {
  BlockPool pool(3);
  EXPECT_EQ(pool.take(), 0);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.take(), std::nullopt);
  EXPECT_EQ(pool.n_free(), 0);
}

TEST(BlockPool, KeptContentIsOverwrittenLastAndInOrderOfRelease) {
  BlockPool pool(4);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(pool.take());
  pool.release(2, Content::keep);
  pool.release(0, Content::keep);
  pool.release(3, Content::forget);
  EXPECT_EQ(pool.take(), 3);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.take(), 0);
}

TEST(BlockPool, SharedBlockIsFreeAfterItsLastUser) {
  BlockPool pool(1);
  const int32_t block = *pool.take();
  pool.share(block);
  pool.release(block, Content::keep);
  EXPECT_EQ(pool.n_free(), 0);
  pool.release(block, Content::keep);
  EXPECT_EQ(pool.n_free(), 1);
  pool.share(block);  // found again while free
  EXPECT_EQ(pool.n_free(), 0);
  EXPECT_EQ(pool.references(block), 1);
}

TEST(BlockPool, RefusesReleaseWithoutUser) {
  BlockPool pool(2);
  EXPECT_THROW(pool.release(1, Content::forget), Error);
  EXPECT_THROW(pool.release(2, Content::forget), Error);
  EXPECT_THROW(pool.release(-1, Content::forget), Error);
  EXPECT_THROW(BlockPool(0), Error);
}

TEST(BlockPool, ConservesBlocksUnderRandomUse) {
  std::mt19937 random(1);
  BlockPool pool(17);
  std::vector<int32_t> held;
  for (int i = 0; i < 20000; ++i) {
    const auto action = random() % 3;
    if (action == 0) {
      const auto block = pool.take();
      EXPECT_EQ(block.has_value(), block && pool.references(*block) == 1);
      if (block) held.push_back(*block);
    } else if (action == 1) {
      const auto block = static_cast<int32_t>(random() % 17);
      pool.share(block);
      held.push_back(block);
    } else if (!held.empty()) {
      std::swap(held[random() % held.size()], held.back());
      pool.release(held.back(), random() % 2 == 0 ? Content::keep : Content::forget);
      held.pop_back();
    }
    ASSERT_NO_THROW(pool.check_conservation());
  }
  for (const int32_t block : held) pool.release(block, Content::keep);
  EXPECT_EQ(pool.n_free(), 17);
}

}  // namespace
}  // namespace qwen3
