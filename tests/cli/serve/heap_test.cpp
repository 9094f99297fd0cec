// Memory that was freed goes back to the kernel: large blocks at once, pages between small ones
// that are still in use when somebody looks.
#include "cli/serve/heap.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

// The sanitizers have an allocator of their own, which keeps what was freed on purpose.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define QWEN3_OTHER_ALLOCATOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define QWEN3_OTHER_ALLOCATOR 1
#endif
#endif

#ifndef QWEN3_OTHER_ALLOCATOR

namespace qwen3::test {
namespace {

using cli::ServeHeap;

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kHoles = 400;
constexpr size_t kHoleBytes = 100 << 10;
constexpr double kKeptMib = static_cast<double>(kHoles * kHoleBytes) / kMiB;

// Pages of this process that no file backs, in MiB.
double anonymous_mib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "RssAnon:") continue;
    double kib = 0;
    status >> kib;
    return kib / 1024;
  }
  return 0;
}

using Block = std::unique_ptr<char[]>;

Block touched(size_t n_bytes) {
  Block block(new char[n_bytes]);
  std::memset(block.get(), 1, n_bytes);
  return block;
}

// Holes of `n_bytes`, each followed by a block as large that stays: something small might stand
// anywhere. In a thread of its own: its heap is another than this one's.
std::vector<Block> leave_holes(size_t n, size_t n_bytes) {
  std::vector<Block> kept;
  std::thread worker([&] {
    std::vector<Block> freed;
    for (size_t i = 0; i < n; ++i) {
      freed.push_back(touched(n_bytes));
      kept.push_back(touched(n_bytes));
    }
  });
  worker.join();
  return kept;
}

// By itself, the allocator takes blocks for usual that are as large as one that it has seen freed.
TEST(ServeHeap, GivesLargeBlocksBackAtOnce) {
  ServeHeap heap;
  leave_holes(1, 16 * kMiB);
  const double before = anonymous_mib();
  const std::vector<Block> kept = leave_holes(16, 4 * kMiB);
  EXPECT_LT(anonymous_mib() - before, 64 + 4);
}

TEST(ServeHeap, GivesPagesBetweenBlocksBackWhenItLooks) {
  ServeHeap heap;
  const double before = anonymous_mib();
  const std::vector<Block> kept = leave_holes(kHoles, kHoleBytes);
  ASSERT_GT(anonymous_mib() - before, kKeptMib + 20)
      << "the allocator keeps nothing: nothing shown";
  heap.look(Clock::time_point() + std::chrono::hours(1));
  EXPECT_LT(anonymous_mib() - before, kKeptMib + 8);
}

TEST(ServeHeap, LooksAtMostEveryTwoSeconds) {
  ServeHeap heap;
  const auto start = Clock::time_point() + std::chrono::hours(1);
  heap.look(start);
  const double before = anonymous_mib();
  const std::vector<Block> kept = leave_holes(kHoles, kHoleBytes);
  heap.look(start + std::chrono::milliseconds(1999));
  EXPECT_GT(anonymous_mib() - before, kKeptMib + 20);
  heap.look(start + std::chrono::seconds(2));
  EXPECT_LT(anonymous_mib() - before, kKeptMib + 8);
}

}  // namespace
}  // namespace qwen3::test

#endif
