#include "cli/measure/bandwidth.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/available_memory.h"
#include "hardware/thread_pool.h"
#include "tensor/storage.h"

namespace qwen3::cli {
namespace {

constexpr int64_t kSliceBytes = 4 << 20;
constexpr int64_t kBufferBytes = 1 << 30;  // last-level caches of servers reach half of that
constexpr int kPasses = 4;

// Sums the slice in eight independent chains, which is enough for loads to run back to back.
uint64_t read_slice(const std::byte* data, int64_t bytes) {
  std::array<uint64_t, 8> sums{};
  for (int64_t i = 0; i < bytes; i += 64) {
    std::array<uint64_t, 8> line;
    std::memcpy(line.data(), data + i, sizeof(line));
    for (size_t j = 0; j < line.size(); ++j) sums[j] += line[j];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

double measure_read_bandwidth(int n_threads) {
  const int64_t affordable = available_memory_bytes() / 4 / kSliceBytes * kSliceBytes;
  const int64_t bytes = std::clamp(affordable, kSliceBytes, kBufferBytes);
  const Storage buffer(bytes);
  ThreadPool pool(n_threads);
  const int64_t n_slices = bytes / kSliceBytes;
  std::vector<uint64_t> sums(static_cast<size_t>(n_slices));
  // Written first: untouched memory is one shared page of zeros.
  pool.parallel_for(n_slices, [&](int64_t i, int) {
    std::memset(buffer.data() + i * kSliceBytes, 1, static_cast<size_t>(kSliceBytes));
  });
  double best_seconds = 1e30;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto begin = std::chrono::steady_clock::now();
    pool.parallel_for(n_slices, [&](int64_t i, int) {
      sums[static_cast<size_t>(i)] += read_slice(buffer.data() + i * kSliceBytes, kSliceBytes);
    });
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    best_seconds = std::min(best_seconds, elapsed.count());
  }
  // The sums must be looked at, or the compiler may drop the reads.
  const bool sums_agree =
      std::all_of(sums.begin(), sums.end(), [&](uint64_t sum) { return sum == sums.front(); });
  return sums_agree ? static_cast<double>(bytes) / best_seconds : 0;
}

}  // namespace qwen3::cli
