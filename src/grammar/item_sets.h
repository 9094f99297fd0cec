// ItemSets: sets of items, interned: equal sets have equal numbers. Configurations are such sets, and so are
// frames: what to go on with behind a rule.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

namespace qwen3 {

// One way in which the answer may be read so far.
struct Item {
  int32_t node = 0;
  int32_t sub = 0;    // bytes of a literal, state of a text or key, count of a repetition
  int32_t extra = 0;  // code points of a text, Track of a key, Used of the other nodes of an object
  int32_t frame = 0;  // the set of items that follows the rule; 0 behind the answer
  auto operator<=>(const Item&) const = default;
};

uint64_t hash_item(const Item& item);

class ItemSets {
 public:
  ItemSets() : table_(64, -1) { intern({}); }  // number 0 is the empty set

  // `items` ascending, without duplicates. Returns the number; a new one is size() - 1.
  int32_t intern(std::span<const Item> items);

  std::span<const Item> items(int32_t id) const {
    const Set& set = sets_[static_cast<size_t>(id)];
    return std::span(items_).subspan(set.begin, set.size);
  }
  int32_t size() const { return static_cast<int32_t>(sets_.size()); }
  int64_t bytes() const {
    return std::ssize(items_) * 16 + std::ssize(sets_) * 16 + std::ssize(table_) * 4;
  }

 private:
  struct Set {
    uint32_t begin, size;
    uint64_t hash;
  };
  void grow();

  std::vector<Item> items_;
  std::vector<Set> sets_;
  std::vector<int32_t> table_;  // a power of two, at most half full
};

// Which items a closure has met; emptied in no time.
class SeenItems {
 public:
  SeenItems() : slots_(64) {}
  void clear() {
    ++epoch_;
    size_ = 0;
  }
  bool insert(const Item& item);  // false: it was there
  int64_t size() const { return size_; }

 private:
  struct Slot {
    Item item;
    uint64_t epoch = 0;
  };
  std::vector<Slot> slots_;  // a power of two, at most half full
  uint64_t epoch_ = 1;
  int64_t size_ = 0;
};

}  // namespace qwen3
