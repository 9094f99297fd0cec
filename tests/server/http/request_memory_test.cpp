#include "server/http/request_memory.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <vector>

#include "server/http/request_cost.h"

namespace qwen3::server {
namespace {

using Holding = RequestMemory::Holding;
using Part = RequestMemory::Part;

constexpr int64_t kMiB = 1 << 20;

std::shared_ptr<RequestMemory> memory_of(int64_t limit) {
  // Two workers; what is left after their small work is halved.
  return std::make_shared<RequestMemory>(2 * limit + 2 * RequestMemory::kSmallWork, 2);
}

TEST(RequestMemory, TheTotalIsDivided) {
  const auto memory = memory_of(40 * kMiB);
  EXPECT_EQ(memory->limit(), 40 * kMiB);
  EXPECT_EQ(memory->large_work_limit(), 40 * kMiB);
  memory->set_total(0);
  EXPECT_LE(memory->limit() + memory->large_work_limit() + 2 * RequestMemory::kSmallWork,
            RequestMemory::kLeast);
  EXPECT_GE(memory->limit(), RequestMemory::kSmallWork);
}

TEST(RequestMemory, GivesBackAtTheEnd) {
  const auto memory = memory_of(40 * kMiB);
  {
    Holding holding(memory, "a");
    ASSERT_TRUE(holding.set(Part::body, 5 * kMiB));
    ASSERT_TRUE(holding.set(Part::answer, 2 * kMiB));
    EXPECT_EQ(memory->held(), 7 * kMiB);
    ASSERT_TRUE(holding.set(Part::body, 0));
    EXPECT_EQ(memory->held(), 2 * kMiB);
  }
  EXPECT_EQ(memory->held(), 0);
}

TEST(RequestMemory, WhatIsRefusedChangesNothing) {
  const auto memory = memory_of(40 * kMiB);
  Holding holding(memory, "a");
  ASSERT_TRUE(holding.set(Part::body, kMiB));
  EXPECT_FALSE(holding.set(Part::body, 100 * kMiB));
  EXPECT_EQ(memory->held(), kMiB);
  EXPECT_EQ(memory->n_refused(), 1);
  EXPECT_TRUE(holding.set(Part::body, 2 * kMiB));
}

// Alone half, beside one that has its half a quarter, and so on.
TEST(RequestMemory, AnOwnerMayHoldAsMuchAsIsStillFree) {
  const auto memory = memory_of(64 * kMiB);
  std::vector<std::unique_ptr<Holding>> all;
  const auto most_of = [&](const std::string& owner) {
    int64_t n = 0;
    while (true) {
      all.push_back(std::make_unique<Holding>(memory, owner));
      if (!all.back()->set(Part::body, kMiB)) return n;
      ++n;
    }
  };
  EXPECT_EQ(most_of("a"), 32);
  EXPECT_EQ(most_of("b"), 16);
  EXPECT_EQ(most_of("c"), 8);
}

TEST(RequestMemory, SmallHoldingsPassWhileThereIsAny) {
  const auto memory = memory_of(8 * kMiB);
  Holding large(memory, "a");
  ASSERT_TRUE(large.set(Part::body, 4 * kMiB));
  std::vector<std::unique_ptr<Holding>> small;
  const auto take = [&] {
    small.push_back(std::make_unique<Holding>(memory, "a"));
    return small.back()->set(Part::body, RequestMemory::kSmallHolding);
  };
  int64_t n = 0;
  while (take()) ++n;
  EXPECT_EQ(n, 4 * kMiB / RequestMemory::kSmallHolding);
  Holding other(memory, "b");
  EXPECT_FALSE(other.set(Part::body, 1)) << "the limit holds for everybody";
}

// A generation may outlive the server.
TEST(RequestMemory, AHoldingMayOutliveItsOwner) {
  auto memory = memory_of(8 * kMiB);
  auto holding = std::make_unique<Holding>(memory, "a");
  ASSERT_TRUE(holding->set(Part::answer, kMiB));
  memory.reset();
  EXPECT_TRUE(holding->set(Part::answer, 2 * kMiB));
  holding.reset();
}

TEST(RequestCost, CountsValuesAndKeys) {
  EXPECT_EQ(count_json_values("7"), 1);
  EXPECT_EQ(count_json_values(R"({"a":1,"b":[2,3]})"), 7);
  EXPECT_EQ(count_json_values(R"("a,b:c[d{e")"), 1);
  EXPECT_EQ(count_json_values(R"(["a\",\\\"", "b\\", 1])"), 4);
  EXPECT_EQ(count_json_values(R"(["unfinished, , ,)"), 2);
  EXPECT_EQ(count_json_values(R"(["ends in an escape\)"), 2);
  EXPECT_EQ(count_json_values(""), 1);
}

TEST(RequestCost, GrowsWithBytesAndWithValues) {
  const std::string text = "\"" + std::string(100'000, 'x') + "\"";
  const std::string values = "[" + std::string(50'000, ',') + "]";
  EXPECT_GT(work_bytes(text), 1'000'000);
  EXPECT_GT(work_bytes(values), 2 * work_bytes(text));
}

}  // namespace
}  // namespace qwen3::server
