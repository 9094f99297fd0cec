// Numbers for benchmarks. A counter-based generator: each value depends on (seed, tensor, row,
// column) only, so any number of threads gives the same weights. Four random bytes are summed to
// one value (Irwin-Hall of four: within ±3.5 standard deviations, 1021 levels), two values from one
// 64-bit word: close enough to a normal for timing, and several times faster than Box-Muller.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "base/mix64.h"
#include "model/parallel_jobs.h"
#include "model/weight_slots.h"
#include "model/weights.h"
#include "tensor/convert.h"

namespace qwen3 {
namespace {

using Kind = WeightSlot::Kind;

constexpr double kStandardDeviation = 0.02;  // transformers' initializer_range
constexpr int kLevels = 4 * 255 + 1;

// The value of each possible sum of four bytes, in `T`'s bits.
template <typename T>
std::array<T, kLevels> make_levels(WeightType type) {
  const double sum_deviation = std::sqrt(4 * (256.0 * 256.0 - 1) / 12);
  std::array<T, kLevels> levels{};
  for (int sum = 0; sum < kLevels; ++sum) {
    const auto value = static_cast<float>((sum - 510) * (kStandardDeviation / sum_deviation));
    convert_elements(&levels[static_cast<size_t>(sum)], dtype_of(type), &value, DType::f32, 1);
  }
  return levels;
}

template <typename T>
void fill_row(T* row, Range columns, uint64_t key, const std::array<T, kLevels>& levels) {
  constexpr uint64_t kEvenBytes = 0x00FF00FF00FF00FF;
  const auto sums = [&](int64_t pair) {
    const uint64_t word = scatter64(key + static_cast<uint64_t>(pair) * kGoldenRatio64);
    const uint64_t twos = (word & kEvenBytes) + (word >> 8 & kEvenBytes);
    return twos + (twos >> 16);  // sums of four in bits 0-15 and 32-47
  };
  assert(columns.begin % 2 == 0);
  const int64_t n = columns.size(), first_pair = columns.begin / 2;
  for (int64_t i = 0; i + 1 < n; i += 2) {
    const uint64_t s = sums(first_pair + i / 2);
    row[i] = levels[s & 0xFFFF];
    row[i + 1] = levels[s >> 32 & 0xFFFF];
  }
  if (n % 2 != 0) row[n - 1] = levels[sums(first_pair + n / 2) & 0xFFFF];
}

struct Job {
  const WeightSlot* slot;
  uint64_t key;  // of the matrix
  int64_t index, row_begin, row_end;
};

template <typename T>
void draw(const std::vector<Job>& jobs, const Backend& backend, WeightType type, int n_threads) {
  const std::array<T, kLevels> levels = make_levels<T>(type);
  std::vector<std::vector<T>> buffers(static_cast<size_t>(n_threads));
  const auto draw_job = [&](int64_t i, int thread) {
    const Job& job = jobs[static_cast<size_t>(i)];
    const int64_t n = job.slot->row_numel();
    std::vector<T>& buffer = buffers[static_cast<size_t>(thread)];
    buffer.resize(static_cast<size_t>((job.row_end - job.row_begin) * n));
    const Range columns = job.slot->columns.empty() ? Range{0, n} : job.slot->columns;
    T* to = buffer.data();
    job.slot->for_each_piece(job.row_begin, job.row_end, [&](int64_t row, int64_t count) {
      for (const int64_t end = row + count; row < end; ++row, to += n) {
        fill_row(to, columns, scatter64(job.key + static_cast<uint64_t>(row)), levels);
      }
    });
    const WeightRows rows = {
        type, reinterpret_cast<const std::byte*>(buffer.data()), job.row_end - job.row_begin, n};
    backend.pack_weight(*job.slot->weight, job.index, rows, job.row_begin);
  };
  run_jobs(static_cast<int64_t>(jobs.size()), n_threads, draw_job, [] {});
}

}  // namespace

Weights random_weights(const HfConfig& config,
                       const Backend& backend,
                       WeightType type,
                       uint64_t seed,
                       int n_threads,
                       const Shard& shard) {
  QWEN3_CHECK(
      n_threads >= 1, ErrorKind::invalid_argument, "threads: expected >= 1, got {}", n_threads);
  Weights weights;
  std::vector<WeightSlot> slots = weight_slots(config, weights);
  find_leaves(slots, std::vector<WeightType>(slots.size(), type));
  if (!shard.alone()) slots = share_slots(slots, config, shard);
  const std::vector<WeightType> types(slots.size(), type);
  allocate(
      weights, slots, types, backend, backend.available_bytes() / shard.size, "random weights");

  std::vector<Job> jobs;
  for (const WeightSlot& slot : slots) {
    if (slot.kind == Kind::vector) {
      // Norms are 1; biases stay 0.
      if (slot.name.ends_with(".weight")) {
        const std::vector<float> ones(static_cast<size_t>(slot.shape.numel()), 1.0f);
        backend.upload(*slot.vector, ones.data());
      }
      continue;
    }
    const int64_t step = rows_per_job(slot, backend, row_bytes(type, slot.row_numel()));
    for (int64_t index = 0; index < slot.n_matrices(); ++index) {
      const uint64_t key =
          scatter64(scatter64(seed + slot.number * kGoldenRatio64) +
                    static_cast<uint64_t>(slot.first_matrix + index) * kGoldenRatio64);
      for (int64_t row = 0; row < slot.n_rows(); row += step) {
        jobs.push_back({&slot, key, index, row, std::min(row + step, slot.n_rows())});
      }
    }
  }
  if (type == WeightType::f32) {
    draw<float>(jobs, backend, type, n_threads);
  } else {
    draw<uint16_t>(jobs, backend, type, n_threads);
  }
  if (config.tie_word_embeddings) weights.lm_head.weight = weights.embed_tokens;
  return weights;
}

}  // namespace qwen3
