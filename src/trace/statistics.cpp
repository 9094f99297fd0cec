#include "trace/statistics.h"

#include <algorithm>
#include <cmath>

namespace qwen3 {
namespace {

// Calls visit(double) with every element, row by row.
template <typename Visit>
void for_each_element(const Tensor& tensor, Visit&& visit) {
  if (tensor.numel() == 0) return;
  const int64_t row_size = tensor.numel() / tensor.dim(0);
  for (int64_t row = 0; row < tensor.dim(0); ++row) {
    const int64_t begin = row * tensor.row_stride();
    for (int64_t i = begin; i < begin + row_size; ++i) {
      visit(tensor.dtype() == DType::i32 ? static_cast<double>(tensor.i32()[i])
                                         : static_cast<double>(tensor.f32()[i]));
    }
  }
}

}  // namespace

TensorStatistics statistics_of(const Tensor& tensor) {
  TensorStatistics s;
  double sum = 0, squares = 0;
  int64_t n_finite = 0;
  for_each_element(tensor, [&](double value) {
    ++s.n;
    if (std::isnan(value)) {
      ++s.n_nan;
    } else if (std::isinf(value)) {
      ++s.n_inf;
    } else {
      s.min = n_finite == 0 ? value : std::min(s.min, value);
      s.max = n_finite == 0 ? value : std::max(s.max, value);
      sum += value;
      squares += value * value;
      ++n_finite;
    }
  });
  if (n_finite == 0) return s;
  const auto n = static_cast<double>(n_finite);
  s.mean = sum / n;
  s.rms = std::sqrt(squares / n);
  // A second pass: the difference of large squares would lose a small deviation.
  double deviations = 0;
  for_each_element(tensor, [&](double value) {
    if (std::isfinite(value)) deviations += (value - s.mean) * (value - s.mean);
  });
  s.std = std::sqrt(deviations / n);
  return s;
}

std::vector<float> first_values(const Tensor& tensor, int64_t n) {
  std::vector<float> values;
  if (tensor.numel() == 0) return values;
  const int64_t last = tensor.dim(tensor.rank() - 1);
  for (int64_t i = 0; i < std::min(n, last); ++i) {
    values.push_back(tensor.dtype() == DType::i32 ? static_cast<float>(tensor.i32()[i])
                                                  : tensor.f32()[i]);
  }
  return values;
}

void StatisticsTap::tensor(std::string_view name, const Tensor& value) {
  TapRecord record{.name = std::string(name),
                   .shape = {},
                   .dtype = dtype_name(value.dtype()),
                   .statistics = statistics_of(value),
                   .sample = first_values(value, kSampleSize)};
  for (int i = 0; i < value.rank(); ++i) record.shape.push_back(value.dim(i));
  records_.push_back(std::move(record));
}

const TapRecord* StatisticsTap::first_bad() const {
  const auto bad = std::ranges::find_if(
      records_, [](const TapRecord& record) { return !record.statistics.all_finite(); });
  return bad == records_.end() ? nullptr : &*bad;
}

}  // namespace qwen3
