#include "engine/logit_scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <limits>

#include "base/checked.h"

namespace qwen3 {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kGroup = 1024;
constexpr float kLowest = -std::numeric_limits<float>::infinity();

}  // namespace

LogitScan::LogitScan(int64_t max_size) {
  const auto n_columns =
      static_cast<size_t>(ceil_div(max_size, static_cast<int64_t>(kGroup))) * kLanes;
  column_max_.reserve(n_columns);
  scratch_.reserve(n_columns);
  candidates_.reserve(static_cast<size_t>(max_size));
}

void LogitScan::scan(std::span<const float> row) {
  row_ = row;
  column_max_.clear();
  max_ = kLowest;
  for (size_t begin = 0; begin < row.size(); begin += kGroup) {
    const size_t end = std::min(begin + kGroup, row.size());
    std::array<float, kLanes> lanes;
    lanes.fill(kLowest);
    size_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const float x = row[i + lane];
        lanes[lane] = x > lanes[lane] ? x : lanes[lane];
      }
    }
    for (size_t lane = 0; i + lane < end; ++lane) {
      lanes[lane] = std::max(lanes[lane], row[i + lane]);
    }
    column_max_.insert(column_max_.end(), lanes.begin(), lanes.end());
  }
  for (const float x : column_max_) max_ = std::max(max_, x);
}

// Calls visit(value, id) for the values >= threshold.
template <typename Visit>
void LogitScan::visit_columns(float threshold, Visit&& visit) const {
  for (size_t column = 0; column < column_max_.size(); ++column) {
    if (column_max_[column] < threshold) continue;
    const size_t begin = column / kLanes * kGroup;
    const size_t end = std::min(begin + kGroup, row_.size());
    for (size_t i = begin + column % kLanes; i < end; i += kLanes) {
      if (row_[i] >= threshold) visit(row_[i], static_cast<int32_t>(i));
    }
  }
}

int32_t LogitScan::argmax() const {
  int32_t best = std::numeric_limits<int32_t>::max();
  visit_columns(max_, [&](float, int32_t id) { best = std::min(best, id); });
  return best;
}

float LogitScan::lower_bound_of_top(int64_t k) {
  if (k > static_cast<int64_t>(column_max_.size())) return kLowest;
  scratch_.assign(column_max_.begin(), column_max_.end());
  const auto kth = scratch_.begin() + (k - 1);
  std::nth_element(scratch_.begin(), kth, scratch_.end(), std::greater<>());
  return *kth;
}

std::vector<Candidate>& LogitScan::collect(float threshold) {
  candidates_.clear();
  if (threshold == kLowest) {
    for (size_t i = 0; i < row_.size(); ++i) {
      if (row_[i] > kLowest) candidates_.push_back({row_[i], static_cast<int32_t>(i), 0.0});
    }
    return candidates_;
  }
  visit_columns(threshold, [&](float value, int32_t id) {
    candidates_.push_back({value, id, 0.0});
  });
  std::ranges::sort(candidates_, {}, &Candidate::id);
  return candidates_;
}

bool all_finite(std::span<const float> row) {
  constexpr uint32_t kExponent = 0x7F800000;  // all ones: NaN or infinity
  uint32_t bad = 0;
  for (const float x : row) bad |= (std::bit_cast<uint32_t>(x) & kExponent) == kExponent;
  return bad == 0;
}

namespace {

// exp(y) = 2^n · e^r with n = round(y / ln 2) and |r| <= ln 2 / 2; e^r by its Taylor polynomial of
// degree 6 (remainder 1.2e-7 relative). Adding 1.5 · 2^23 rounds to an integer in the low bits.
// Without branches and calls, so that loops over it become vector instructions.
inline float exp_lane(float x, float shift, float scale) {
  constexpr float kRound = 12582912.0f, kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  const float exact = (x - shift) * scale;
  const float y = exact > -87.0f ? exact : -87.0f;
  const float rounded = y * kLog2E + kRound;
  const float n = rounded - kRound;
  const float r = (y - n * kLn2High) - n * kLn2Low;
  float p = 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const uint32_t power = std::bit_cast<uint32_t>(rounded) << 23;  // n, moved to the exponent
  const float value = std::bit_cast<float>(std::bit_cast<uint32_t>(p) + power);
  return exact > -87.0f ? value : 0.0f;
}

}  // namespace

float exp_shifted(float x, float shift, float scale) { return exp_lane(x, shift, scale); }

double sum_exp(std::span<const float> row, float shift, float scale) {
  double total = 0;
  std::array<float, kGroup> values;
  for (size_t begin = 0; begin < row.size(); begin += kGroup) {
    const size_t size = std::min(kGroup, row.size() - begin);
    const float* in = row.data() + begin;
    for (size_t i = 0; i < size; ++i) values[i] = exp_lane(in[i], shift, scale);
    for (size_t i = size; i % kLanes != 0; ++i) values[i] = 0;
    std::array<float, kLanes> lanes{};
    for (size_t i = 0; i < size; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += values[i + lane];
    }
    double group = 0;
    for (const float lane : lanes) group += static_cast<double>(lane);
    total += group;
  }
  return total;
}

}  // namespace qwen3
