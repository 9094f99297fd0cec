#include "grammar/item_sets.h"

#include <algorithm>

#include "base/mix64.h"

namespace qwen3 {
namespace {

uint64_t pair_of(int32_t a, int32_t b) {
  return uint64_t{static_cast<uint32_t>(a)} << 32 | static_cast<uint32_t>(b);
}

}  // namespace

uint64_t hash_item(const Item& item) {
  return mix64(mix64(pair_of(item.node, item.sub)) ^ pair_of(item.extra, item.frame));
}

int32_t ItemSets::intern(std::span<const Item> items) {
  uint64_t hash = items.size();
  for (const Item& item : items) hash = mix64(hash ^ hash_item(item));
  size_t slot = hash & (table_.size() - 1);
  for (; table_[slot] >= 0; slot = (slot + 1) & (table_.size() - 1)) {
    const Set& set = sets_[static_cast<size_t>(table_[slot])];
    if (set.hash == hash && set.size == items.size() &&
        std::equal(items.begin(), items.end(), items_.begin() + set.begin)) {
      return table_[slot];
    }
  }
  const int32_t id = size();
  table_[slot] = id;
  sets_.push_back(
      {static_cast<uint32_t>(items_.size()), static_cast<uint32_t>(items.size()), hash});
  items_.insert(items_.end(), items.begin(), items.end());
  if (2 * sets_.size() > table_.size()) grow();
  return id;
}

void ItemSets::grow() {
  table_.assign(2 * table_.size(), -1);
  for (size_t i = 0; i < sets_.size(); ++i) {
    size_t slot = sets_[i].hash & (table_.size() - 1);
    while (table_[slot] >= 0) slot = (slot + 1) & (table_.size() - 1);
    table_[slot] = static_cast<int32_t>(i);
  }
}

bool SeenItems::insert(const Item& item) {
  if (2 * (static_cast<size_t>(size_) + 1) > slots_.size()) {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& entry : old) {
      if (entry.epoch != epoch_) continue;
      size_t slot = hash_item(entry.item) & (slots_.size() - 1);
      while (slots_[slot].epoch == epoch_) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = entry;
    }
  }
  size_t slot = hash_item(item) & (slots_.size() - 1);
  for (; slots_[slot].epoch == epoch_; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot].item == item) return false;
  }
  slots_[slot] = {item, epoch_};
  ++size_;
  return true;
}

}  // namespace qwen3
