#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>
#include <vector>

#include "base/error.h"

namespace qwen3 {
namespace {

using Tokens = std::vector<int32_t>;

TEST(PrefixCache, FindsOnlyTheSameTokensAfterTheSameParentUnderTheSameSalt) {
  PrefixCache cache(8, 2);
  const auto a = cache.insert(3, PrefixCache::kRoot, Tokens{1, 2}, "x");
  const auto b = cache.insert(5, a, Tokens{3, 4}, "x");
  EXPECT_EQ(cache.find(PrefixCache::kRoot, Tokens{1, 2}, "x").block, 3);
  EXPECT_EQ(cache.find(a, Tokens{3, 4}, "x").block, 5);
  EXPECT_EQ(cache.find(a, Tokens{3, 4}, "x").serial, b);
  EXPECT_EQ(cache.find(PrefixCache::kRoot, Tokens{1, 2}, "y").block, -1);
  EXPECT_EQ(cache.find(PrefixCache::kRoot, Tokens{1, 3}, "x").block, -1);
  EXPECT_EQ(cache.find(PrefixCache::kRoot, Tokens{3, 4}, "x").block, -1);
  EXPECT_EQ(cache.find(b, Tokens{3, 4}, "x").block, -1);
}

TEST(PrefixCache, ForgetRemovesAndSerialsAreNeverReused) {
  PrefixCache cache(4, 2);
  const auto first = cache.insert(0, PrefixCache::kRoot, Tokens{1, 2}, "");
  cache.forget(0);
  cache.forget(0);
  EXPECT_EQ(cache.find(PrefixCache::kRoot, Tokens{1, 2}, "").block, -1);
  EXPECT_NE(cache.insert(0, PrefixCache::kRoot, Tokens{1, 2}, ""), first);
  EXPECT_THROW(cache.insert(0, PrefixCache::kRoot, Tokens{1, 2}, ""), Error);
  EXPECT_EQ(cache.n_entries(), 1);
}

// A hash of 8 bits, and one of none, collide all the time: no hit may be wrong, no entry lost.
void check_against_map(PrefixCache::Hash hash, uint32_t seed, int n_steps) {
  constexpr int64_t kBlocks = 300;
  std::mt19937 random(seed);
  PrefixCache cache(kBlocks, 2, hash);
  using Key = std::tuple<int64_t, Tokens, std::string>;
  std::map<Key, int32_t> known;
  std::vector<Key> key_of(kBlocks);
  std::vector<int64_t> serials{PrefixCache::kRoot};
  for (int i = 0; i < n_steps; ++i) {
    const int64_t parent = serials[random() % serials.size()];
    const Tokens tokens{static_cast<int32_t>(random() % 8), static_cast<int32_t>(random() % 8)};
    const std::string salt = parent != PrefixCache::kRoot ? "" : random() % 2 == 0 ? "a" : "b";
    const Key key{parent, tokens, salt};
    const auto expected = known.find(key);
    const auto hit = cache.find(parent, tokens, salt);
    ASSERT_EQ(hit.block, expected == known.end() ? -1 : expected->second);
    const auto block = static_cast<int32_t>(random() % kBlocks);
    if (random() % 4 != 0) continue;
    if (cache.contains(block)) {
      known.erase(key_of[static_cast<size_t>(block)]);
      cache.forget(block);
    } else if (hit.block < 0) {
      serials.push_back(cache.insert(block, parent, tokens, salt));
      if (serials.size() > 6) serials.erase(serials.begin() + 1);
      known[key] = block;
      key_of[static_cast<size_t>(block)] = key;
    }
    ASSERT_EQ(cache.n_entries(), static_cast<int64_t>(known.size()));
  }
}

uint64_t simple_hash(uint64_t key,
                     int64_t parent,
                     std::span<const int32_t> tokens,
                     std::string_view salt) {
  uint64_t h = key + static_cast<uint64_t>(parent) * 31;
  for (const int32_t token : tokens) h = h * 131 + static_cast<uint64_t>(token);
  for (const char c : salt) h = h * 131 + static_cast<uint8_t>(c);
  return h;
}

TEST(PrefixCache, NoWrongHitInAMillionLookupsWithAnEightBitHash) {
  check_against_map(
      [](uint64_t k, int64_t p, std::span<const int32_t> t, std::string_view s) {
        return simple_hash(k, p, t, s) & 0xFF;
      },
      1,
      1'000'000);
}

TEST(PrefixCache, NoWrongHitWhenEverythingCollides) {
  check_against_map(
      [](uint64_t, int64_t, std::span<const int32_t>, std::string_view) { return uint64_t{42}; },
      2,
      50'000);
}

TEST(PrefixCache, NoWrongHitWithItsOwnHash) { check_against_map(nullptr, 3, 200'000); }

}  // namespace
}  // namespace qwen3
