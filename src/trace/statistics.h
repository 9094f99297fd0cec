// Numbers that describe a tensor, and a listener that keeps them for every tap. Over several passes
// the rows of one name count as one tensor.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trace/tap.h"

namespace qwen3 {

// Over the finite elements, accumulated in double; all zero when there are none.
struct TensorStatistics {
  double mean = 0, std = 0;  // std of the population
  double min = 0, max = 0, rms = 0;
  int64_t n = 0, n_nan = 0, n_inf = 0;

  bool all_finite() const { return n_nan + n_inf == 0; }
};

// Those of two tensors together.
TensorStatistics merged(const TensorStatistics& a, const TensorStatistics& b);
// `tensor` is f32 or i32, row-major; rows may be strided.
TensorStatistics statistics_of(const Tensor& tensor);
// The first `n` elements of row 0 (of the first head, when there are three dimensions).
std::vector<float> first_values(const Tensor& tensor, int64_t n);

struct TapRecord {
  std::string name;
  std::vector<int64_t> shape;  // rows of all passes; of the newest pass where other dimensions grow
  std::string_view dtype;
  TensorStatistics statistics;
  std::vector<float> sample;  // of the first pass that has any
};

class StatisticsTap final : public Tap {
 public:
  static constexpr int64_t kSampleSize = 4;

  void tensor(std::string_view name, const Tensor& value) override;

  // In the order in which the names came first.
  const std::vector<TapRecord>& records() const { return records_; }
  // The first tensor in order of execution that holds a NaN or an infinity; nullptr if none does.
  const TapRecord* first_bad() const;

 private:
  void add(size_t place, const Tensor& value);

  std::vector<TapRecord> records_;
  std::map<std::string, size_t, std::less<>> places_;  // in records_, by name
  std::optional<size_t> first_bad_;
};

}  // namespace qwen3
