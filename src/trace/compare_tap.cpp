#include "trace/compare_tap.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace qwen3 {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// Leading dimensions of 1 (a batch of one) do not count.
std::vector<int64_t> without_batch(std::vector<int64_t> shape, size_t rank) {
  while (shape.size() > rank && shape.front() == 1) shape.erase(shape.begin());
  return shape;
}

}  // namespace

CompareTap::CompareTap(TapNames names, Read read, double tolerance)
    : names_(std::move(names)), read_(std::move(read)), tolerance_(tolerance) {}

void CompareTap::tensor(std::string_view name, const Tensor& value) {
  if (!names_.contains(name)) return;
  const ReferenceTensor reference = read_(name);
  ++n_compared_;
  Difference difference{.name = std::string(name), .shape_problem = {}};
  std::vector<int64_t> shape;
  for (int i = 0; i < value.rank(); ++i) shape.push_back(value.dim(i));
  if (without_batch(reference.shape, shape.size()) != shape) {
    difference.shape_problem =
        fmt::format("expected {}, got {}", shape_text(reference.shape), shape_text(shape));
    diverging_.push_back(std::move(difference));
    return;
  }
  const int64_t row_size = value.dim(0) == 0 ? 0 : value.numel() / value.dim(0);
  double square_difference = 0, square = 0;
  for (int64_t i = 0; i < value.numel(); ++i) {
    const int64_t at = i / row_size * value.row_stride() + i % row_size;
    const double got =
        value.dtype() == DType::i32 ? value.i32()[at] : static_cast<double>(value.f32()[at]);
    const double want = reference.values[static_cast<size_t>(i)];
    const double delta = got == want ? 0 : std::abs(got - want);  // equal infinities agree
    square_difference += delta * delta;
    square += want * want;
    if (delta > difference.largest || !std::isfinite(delta)) {
      difference.largest = delta;
      difference.at = i;
    }
  }
  difference.relative = square_difference == 0 ? 0 : std::sqrt(square_difference / square);
  const bool agrees = difference.relative <= tolerance_;  // false for NaN
  if (agrees && (worst_.name.empty() || difference.relative > worst_.relative)) worst_ = difference;
  if (!agrees) diverging_.push_back(std::move(difference));
}

}  // namespace qwen3
