// Positions waiting under a rank; the lowest rank comes out first, all its positions at once.
//
// A heap of (rank, position) would do the same, but jumps through memory for every entry. Here the
// heap holds each rank once, and the positions of one rank are read in order: on a run of 4 MiB of
// one letter that is several times faster, and the time stays near proportional to the length.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "tokenizer/huge_page_allocator.h"

namespace qwen3 {

class RankQueue {
 public:
  // Ranks are below n_ranks; about n_entries will wait at a time. REQUIRES: the queue is empty.
  void prepare(size_t n_ranks, size_t n_entries) {
    first_.resize(n_ranks, -1);
    entries_.reserve(n_entries);
  }

  bool empty() const { return ranks_.empty(); }

  // REQUIRES: !empty().
  uint32_t lowest() const { return ranks_.front(); }

  void push(uint32_t rank, int32_t position) {
    int32_t& first = first_[rank];
    if (first < 0) {
      ranks_.push_back(rank);
      std::push_heap(ranks_.begin(), ranks_.end(), std::greater<>());
    }
    int32_t entry = free_;
    if (entry >= 0) {
      free_ = entries_[static_cast<size_t>(entry)].next;
      entries_[static_cast<size_t>(entry)] = {position, first};
    } else {
      entry = static_cast<int32_t>(entries_.size());
      entries_.push_back({position, first});
    }
    first = entry;
  }

  using Positions = std::vector<int32_t, HugePageAllocator<int32_t>>;
  // Removes the lowest rank. Its positions ascend; they are valid until the next call.
  const Positions& pop_lowest() {
    int32_t& first = first_[ranks_.front()];
    std::pop_heap(ranks_.begin(), ranks_.end(), std::greater<>());
    ranks_.pop_back();
    positions_.clear();
    while (first >= 0) {
      Entry& entry = entries_[static_cast<size_t>(first)];
      positions_.push_back(entry.position);
      const int32_t next = entry.next;
      entry.next = free_;
      free_ = first;
      first = next;
    }
    std::reverse(positions_.begin(), positions_.end());  // most are pushed from left to right
    if (!std::is_sorted(positions_.begin(), positions_.end())) {
      std::sort(positions_.begin(), positions_.end());
    }
    return positions_;
  }

 private:
  struct Entry {
    int32_t position;
    int32_t next;  // of the same rank, or of the free list; -1 at the end
  };

  std::vector<uint32_t> ranks_;  // a heap
  std::vector<int32_t> first_;   // by rank: the entry pushed last, or -1
  std::vector<Entry, HugePageAllocator<Entry>> entries_;
  int32_t free_ = -1;
  Positions positions_;
};

}  // namespace qwen3
