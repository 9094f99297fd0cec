#include "hardware/affinity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

namespace qwen3 {
namespace {

TEST(Affinity, SharesAreWholeMemoryNodesWhereThereAreEnough) {
  const std::vector<int> cores{0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<int> nodes{0, 1, 0, 1, 0, 1, 0, 1};
  EXPECT_EQ(core_share(cores, nodes, 0, 2), (std::vector<int>{0, 2, 4, 6}));
  EXPECT_EQ(core_share(cores, nodes, 1, 2), (std::vector<int>{1, 3, 5, 7}));
  EXPECT_EQ(core_share(cores, nodes, 3, 4), (std::vector<int>{5, 7}));
}

TEST(Affinity, SharesAreAllCoresOnce) {
  std::vector<int> cores(13), nodes(13);
  std::iota(cores.begin(), cores.end(), 20);
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i] = static_cast<int>(i / 5);
  for (int count = 1; count <= 13; ++count) {
    std::vector<int> all;
    for (int index = 0; index < count; ++index) {
      const std::vector<int> mine = core_share(cores, nodes, index, count);
      EXPECT_GE(static_cast<int>(mine.size()), 13 / count);
      EXPECT_LE(static_cast<int>(mine.size()), (13 + count - 1) / count);
      all.insert(all.end(), mine.begin(), mine.end());
    }
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, cores);
  }
  EXPECT_TRUE(core_share(cores, nodes, 0, 14).empty());
}

// On a thread of its own, which may then be bound.
TEST(Affinity, AThreadIsBoundAndKnowsWhatElseThereIs) {
  std::thread([] {
    const std::vector<int> before = own_cores();
    ASSERT_FALSE(before.empty());
    EXPECT_EQ(memory_nodes(before).size(), before.size());
    ASSERT_TRUE(bind_to({before.back()}));
    EXPECT_EQ(own_cores(), std::vector<int>{before.back()});
    const std::vector<int> possible = possible_cores();
    EXPECT_TRUE(std::includes(possible.begin(), possible.end(), before.begin(), before.end()));
    EXPECT_EQ(own_cores(), std::vector<int>{before.back()}) << "asking has changed something";
    EXPECT_FALSE(bind_to({}));
  }).join();
}

}  // namespace
}  // namespace qwen3
