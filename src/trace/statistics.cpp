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

TensorStatistics merged(const TensorStatistics& a, const TensorStatistics& b) {
  const auto n_finite = [](const TensorStatistics& s) {
    return static_cast<double>(s.n - s.n_nan - s.n_inf);
  };
  const double n_a = n_finite(a), n_b = n_finite(b), n = n_a + n_b;
  TensorStatistics s = n_a > 0 ? a : b;
  s.n = a.n + b.n;
  s.n_nan = a.n_nan + b.n_nan;
  s.n_inf = a.n_inf + b.n_inf;
  if (n_a == 0 || n_b == 0) return s;
  const double delta = b.mean - a.mean;
  s.mean = a.mean + delta * (n_b / n);
  s.std =
      std::sqrt((a.std * a.std * n_a + b.std * b.std * n_b + delta * delta * n_a * n_b / n) / n);
  s.rms = std::sqrt((a.rms * a.rms * n_a + b.rms * b.rms * n_b) / n);
  s.min = std::min(a.min, b.min);
  s.max = std::max(a.max, b.max);
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
  const auto known = places_.find(name);
  if (known != places_.end()) {
    add(known->second, value);
    return;
  }
  TapRecord record{.name = std::string(name),
                   .shape = {},
                   .dtype = dtype_name(value.dtype()),
                   .statistics = statistics_of(value),
                   .sample = first_values(value, kSampleSize)};
  for (int i = 0; i < value.rank(); ++i) record.shape.push_back(value.dim(i));
  if (!first_bad_ && !record.statistics.all_finite()) first_bad_ = records_.size();
  places_.emplace(name, records_.size());
  records_.push_back(std::move(record));
}

void StatisticsTap::add(size_t place, const Tensor& value) {
  TapRecord& record = records_[place];
  record.statistics = merged(record.statistics, statistics_of(value));
  if (record.sample.empty()) record.sample = first_values(value, kSampleSize);
  if (!first_bad_ && !record.statistics.all_finite()) first_bad_ = place;
  bool rows_of_one_tensor = static_cast<int>(record.shape.size()) == value.rank();
  for (int i = 1; i < value.rank() && rows_of_one_tensor; ++i) {
    rows_of_one_tensor = record.shape[static_cast<size_t>(i)] == value.dim(i);
  }
  if (rows_of_one_tensor && value.rank() > 0) {
    record.shape.front() += value.dim(0);
    return;
  }
  record.shape.clear();
  for (int i = 0; i < value.rank(); ++i) record.shape.push_back(value.dim(i));
}

const TapRecord* StatisticsTap::first_bad() const {
  return first_bad_ ? &records_[*first_bad_] : nullptr;
}

}  // namespace qwen3
