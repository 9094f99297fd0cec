// How the lengths and times of answers spread: the numbers of a summary and the bars of a page.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace qwen3::eval {

// One answer's tokens or seconds, and whether it was right.
struct Measured {
  double value = 0;
  bool right = false;
};

struct Spread {
  int64_t n = 0;
  double min = 0, median = 0, p90 = 0, max = 0, mean = 0;
};
// Nothing for no values. REQUIRES: values are finite.
std::optional<Spread> spread_of(std::span<const Measured> values);

// Bar i counts the values of [edges[i], edges[i+1]), the last one its upper edge too. Edges are
// numbers that people read: equal steps of 1, 2 or 5 times a power of ten, or, where the largest
// value is far above the median, the series 1, 2, 5, 10, 20 … itself.
struct Histogram {
  std::vector<double> edges;
  std::vector<int64_t> right, other;
};
// Nothing for no values. REQUIRES: values are finite and >= 0.
std::optional<Histogram> histogram_of(std::span<const Measured> values);

}  // namespace qwen3::eval
