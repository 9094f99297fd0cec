#include "parallel/sum_tree.h"

#include <gtest/gtest.h>

#include <bit>
#include <optional>
#include <random>

namespace qwen3::test {
namespace {

// The definition: the balanced tree over the leaves' values; a leaf without units is none.
std::optional<float> tree(const std::vector<std::optional<float>>& leaves, Range r) {
  if (r.size() == 1) return leaves[static_cast<size_t>(r.begin)];
  const int64_t middle = (r.begin + r.end) / 2;
  const auto left = tree(leaves, {r.begin, middle}), right = tree(leaves, {middle, r.end});
  if (left && right) return *left + *right;
  return left ? left : right;
}

TEST(SumTree, GivesTheBitsOfTheWholeTreeForAnyNumberOfRanks) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const int64_t n_units : {1, 2, 3, 5, 7, 8, 9, 130}) {
    for (int trial = 0; trial < 20; ++trial) {
      std::vector<std::optional<float>> leaves(kLeaves);
      for (int i = 0; i < kLeaves; ++i) {
        if (!share({.size = n_units}, {i, i + 1}).empty()) {
          leaves[static_cast<size_t>(i)] = normal(random) * (trial % 3 == 0 ? 1e4f : 1.0f);
        }
      }
      const float expected = *tree(leaves, {0, kLeaves});
      for (int size = 1; size <= kLeaves; ++size) {
        const SumTree sum(size, {.size = n_units});
        std::vector<float> values;
        for (const auto& [rank, node] : sum.inputs()) {
          const Range range = nodes_of(Shard{rank, size}.leaves())[static_cast<size_t>(node)];
          values.push_back(*tree(leaves, range));
        }
        std::vector<const float*> inputs;
        for (const float& value : values) inputs.push_back(&value);
        float out = 0;
        sum.sum(&out, inputs.data(), 1, SumTree::Into::replace);
        EXPECT_EQ(std::bit_cast<uint32_t>(out), std::bit_cast<uint32_t>(expected)) << size;
        float x = 0.1f;
        sum.sum(&x, inputs.data(), 1, SumTree::Into::add);
        EXPECT_EQ(x, 0.1f + expected);
      }
    }
  }
}

TEST(SumTree, IsNotASumFromLeftToRight) {
  const SumTree sum(4, {.size = 8});
  const float values[4] = {1.0f, 0x1p-24f, 0x1p-24f, 0x1p-24f};
  const float* inputs[4] = {&values[0], &values[1], &values[2], &values[3]};
  float out = 0;
  sum.sum(&out, inputs, 1, SumTree::Into::replace);
  EXPECT_EQ(out, (1.0f + 0x1p-24f) + 0x1p-23f);
  EXPECT_NE(out, ((1.0f + 0x1p-24f) + 0x1p-24f) + 0x1p-24f);
}

TEST(SumTree, LongVectorsAndItsOwnInput) {
  const int64_t n = 1500;
  std::vector<std::vector<float>> values(3, std::vector<float>(n));
  const SumTree sum(3, {.size = 8});
  ASSERT_EQ(sum.inputs().size(), 5u);
  std::vector<std::vector<float>> nodes(5, std::vector<float>(n));
  std::vector<const float*> inputs;
  for (size_t i = 0; i < 5; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      nodes[i][static_cast<size_t>(j)] = static_cast<float>(i + 1) * static_cast<float>(j);
    }
    inputs.push_back(nodes[i].data());
  }
  sum.sum(nodes[0].data(), inputs.data(), n, SumTree::Into::replace);
  for (int64_t j = 0; j < n; ++j) {
    EXPECT_EQ(nodes[0][static_cast<size_t>(j)], 15.0f * static_cast<float>(j));
  }
}

}  // namespace
}  // namespace qwen3::test
