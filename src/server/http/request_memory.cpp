#include "server/http/request_memory.h"

#include <algorithm>

namespace qwen3::server {

RequestMemory::RequestMemory(int64_t total_bytes, int n_workers)
    : small_work_(n_workers * kSmallWork) {
  set_total(total_bytes);
}

void RequestMemory::set_total(int64_t total_bytes) {
  const std::lock_guard lock(mutex_);
  const int64_t left = std::max(total_bytes, kLeast) - small_work_;
  large_work_ = std::max(left / 2, kSmallWork);
  limit_ = std::max(left - large_work_, kSmallWork);
}

int64_t RequestMemory::held() const {
  const std::lock_guard lock(mutex_);
  return held_;
}

int64_t RequestMemory::limit() const {
  const std::lock_guard lock(mutex_);
  return limit_;
}

int64_t RequestMemory::large_work_limit() const {
  const std::lock_guard lock(mutex_);
  return large_work_;
}

int64_t RequestMemory::n_refused() const {
  const std::lock_guard lock(mutex_);
  return n_refused_;
}

RequestMemory::Holding::Holding(std::shared_ptr<RequestMemory> memory, const std::string& owner)
    : memory_(std::move(memory)) {
  const std::lock_guard lock(memory_->mutex_);
  owner_ = &*memory_->owners_.try_emplace(owner).first;
  ++owner_->second.n_holdings;
}

RequestMemory::Holding::~Holding() {
  const std::lock_guard lock(memory_->mutex_);
  Owner& owner = owner_->second;
  memory_->held_ -= sum_;
  owner.bytes -= sum_;
  // By iterator: erasing by a key that lives in the entry would read it after its end.
  if (--owner.n_holdings == 0) memory_->owners_.erase(memory_->owners_.find(owner_->first));
}

bool RequestMemory::Holding::set(Part part, int64_t bytes) noexcept {
  const std::lock_guard lock(memory_->mutex_);
  int64_t& now = parts_[static_cast<size_t>(part)];
  const int64_t growth = bytes - now;
  Owner& owner = owner_->second;
  if (growth > 0) {
    const int64_t free = memory_->limit_ - memory_->held_ - growth;
    const bool fair = sum_ + growth <= kSmallHolding || owner.bytes + growth <= free;
    if (free < 0 || !fair) {
      ++memory_->n_refused_;
      return false;
    }
  }
  now = bytes;
  sum_ += growth;
  owner.bytes += growth;
  memory_->held_ += growth;
  return true;
}

}  // namespace qwen3::server
