#include "verify/tap_channel.h"

#include <utility>

#include "base/error.h"
#include "trace/tap_name.h"

namespace qwen3 {
namespace {

constexpr size_t kValuesUnderWay = size_t{8} << 20;

}  // namespace

KeptTensor keep_tensor(const Tensor& value) {
  KeptTensor kept;
  for (int i = 0; i < value.rank(); ++i) kept.shape.push_back(value.dim(i));
  const int64_t row_size = value.numel() == 0 ? 0 : value.numel() / value.dim(0);
  kept.values.reserve(static_cast<size_t>(value.numel()));
  for (int64_t row = 0; row_size > 0 && row < value.dim(0); ++row) {
    for (int64_t i = 0; i < row_size; ++i) {
      const int64_t at = row * value.row_stride() + i;
      kept.values.push_back(value.dtype() == DType::i32
                                ? static_cast<float>(value.i32()[at])
                                : load_f32(value.data(), value.dtype(), at));
    }
  }
  return kept;
}

void TapChannel::push(std::string_view name, KeptTensor value) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return abandoned_ || queue_.empty() || n_values_ + value.values.size() <= kValuesUnderWay;
  });
  QWEN3_CHECK(!abandoned_, ErrorKind::internal, "verify: the comparison ended before the pass");
  n_values_ += value.values.size();
  queue_.push_back({std::string(name), std::move(value)});
  changed_.notify_all();
}

void TapChannel::end(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  error_ = std::move(error);
  changed_.notify_all();
}

std::exception_ptr TapChannel::error() {
  const std::lock_guard lock(mutex_);
  return error_;
}

void TapChannel::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  changed_.notify_all();
}

std::optional<KeptTensor> TapChannel::take(std::string_view name) {
  const int64_t layer = parse_tap_name(name).layer;
  if (layer != layer_) passed_over_.clear();
  layer_ = layer;
  if (const auto found = passed_over_.find(name); found != passed_over_.end()) {
    KeptTensor value = std::move(found->second);
    passed_over_.erase(found);
    return value;
  }
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ended_ || !queue_.empty(); });
    if (queue_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return std::nullopt;
    }
    Entry entry = std::move(queue_.front());
    queue_.pop_front();
    n_values_ -= entry.value.values.size();
    changed_.notify_all();
    if (entry.name == name) return std::move(entry.value);
    passed_over_.insert_or_assign(std::move(entry.name), std::move(entry.value));
  }
}

void ChosenExperts::publish(std::vector<int32_t> experts) {
  const std::lock_guard lock(mutex_);
  layers_.push_back(std::move(experts));
  changed_.notify_all();
}

void ChosenExperts::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

const std::vector<int32_t>& ChosenExperts::wait(size_t index) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ended_ || index < layers_.size(); });
  QWEN3_CHECK(index < layers_.size(),
              ErrorKind::internal,
              "verify: the judged pass ended before it chose the experts of sparse layer {}",
              index);
  return layers_[index];
}

}  // namespace qwen3
