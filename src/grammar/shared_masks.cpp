#include "grammar/shared_masks.h"

#include <atomic>

#include "grammar/limits.h"

namespace qwen3 {
namespace {

std::atomic<int64_t> n_shared_bytes = 0;  // of the process

}  // namespace

SharedMasks::~SharedMasks() { n_shared_bytes -= bytes_; }

std::optional<SharedMasks::Entry> SharedMasks::find(const std::string& place) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(place);
  return found == entries_.end() ? std::nullopt : std::optional(found->second);
}

void SharedMasks::add(const std::string& place, Entry entry) {
  const int64_t bytes = std::ssize(place) + std::ssize(*entry.allowed) * 8 + 128;
  const std::lock_guard lock(mutex_);
  if (n_shared_bytes + bytes > kMaxSharedMaskBytes || entries_.contains(place)) return;
  entries_.emplace(place, std::move(entry));
  bytes_ += bytes;
  n_shared_bytes += bytes;
}

std::shared_ptr<SharedMasks> SharedMasksOfGrammar::get(const void* vocabulary) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<SharedMasks> masks = vocabulary == vocabulary_ ? masks_.lock() : nullptr;
  if (masks == nullptr) {
    masks = std::make_shared<SharedMasks>();
    masks_ = masks;
    vocabulary_ = vocabulary;
  }
  return masks;
}

}  // namespace qwen3
