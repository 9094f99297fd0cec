#include "eval/run/server_pool.h"

#include <gtest/gtest.h>

namespace qwen3::eval {
namespace {

using std::chrono::seconds;

TEST(ServerPool, SharesTheWork) {
  const ServerPool::Time now{};
  ServerPool pool(3, Backoff(1, 60), now);
  std::vector<int> picked(3);
  for (int i = 0; i < 9; ++i) ++picked[*pool.pick(now)];
  EXPECT_EQ(picked, (std::vector<int>{3, 3, 3}));
  pool.answered(1, now);
  pool.answered(1, now);
  EXPECT_EQ(pool.pick(now), 1u);
  EXPECT_EQ(pool.pick(now), 1u);
}

TEST(ServerPool, LeavesAServerThatIsAwayAlone) {
  ServerPool::Time now{};
  ServerPool pool(2, Backoff(1, 60), now);
  const size_t first = *pool.pick(now);
  const size_t other = 1 - first;
  pool.away(first, now, seconds(10));
  EXPECT_FALSE(pool.all_away());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(pool.pick(now), other);
  now += seconds(10);
  EXPECT_EQ(pool.pick(now), first) << "one request tries it again";
  EXPECT_EQ(pool.pick(now), other) << "and no second";
  pool.answered(first, now);
  EXPECT_EQ(pool.pick(now), first);
}

TEST(ServerPool, WaitsGrowAndRequestsThatFailTogetherCountOnce) {
  ServerPool::Time now{};
  ServerPool pool(1, Backoff(0, 0), now);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pool.pick(now));
  for (int i = 0; i < 100; ++i) pool.away(0, now, seconds(5));
  EXPECT_TRUE(pool.all_away());
  EXPECT_EQ(pool.next_try(), now + seconds(5));
  EXPECT_FALSE(pool.pick(now));
  now += seconds(5);
  ASSERT_TRUE(pool.pick(now));
  EXPECT_FALSE(pool.next_try()) << "under way: nothing to wake up for";
  pool.broke_off(0);
  EXPECT_TRUE(pool.pick(now));
  pool.answered(0, now);
  EXPECT_EQ(pool.last_answer(), now);
  EXPECT_FALSE(pool.all_away());
}

TEST(Backoff, StaysBelowTheDoublingLimit) {
  Backoff backoff(1, 60);
  for (int64_t n = 1; n < 100; ++n) {
    double longest = 0;
    for (int i = 0; i < 50; ++i) {
      const double wait = std::chrono::duration<double>(backoff.after(n)).count();
      EXPECT_GE(wait, 0);
      longest = std::max(longest, wait);
    }
    EXPECT_LE(longest, n >= 7 ? 60.0 : static_cast<double>(1 << (n - 1)));
    EXPECT_GT(longest, 0.1) << "50 draws, all in the lowest tenth?";
  }
}

}  // namespace
}  // namespace qwen3::eval
