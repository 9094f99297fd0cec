// BlockPool: who uses which KV block. Blocks are numbers 0 .. n_blocks - 1; their bytes live in
// KvCache.
//
// A block is used (references >= 1) or free. Free blocks wait in one list, next to be taken at the
// front: blocks whose content nobody can find again go to the front, blocks that the prefix cache
// still knows go to the back, so that they are overwritten last and in the order of last use.
//
// Not thread safe: the engine thread owns it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace qwen3 {

class BlockPool {
 public:
  // n_blocks in [1, 2^31 - 1].
  explicit BlockPool(int64_t n_blocks);

  int64_t n_blocks() const { return static_cast<int64_t>(entries_.size()) - 1; }
  int64_t n_free() const { return n_free_; }
  int32_t references(int32_t block) const { return entry(block).references; }
  // Grows with every block that becomes free: tells whether waiting for blocks may have ended.
  int64_t n_frees() const { return n_frees_; }

  // The front of the free list, with one reference; nothing if all blocks are used.
  std::optional<int32_t> take();
  // One more reference; a free block becomes used.
  void share(int32_t block);
  // What happens to the block's content when its last user leaves.
  enum class Content { forget, keep };
  // One reference less. REQUIRES: references(block) >= 1.
  void release(int32_t block, Content content);

  // Throws Error{internal} unless every block is either used or once in the free list.
  void check_conservation() const;

 private:
  // The free list is a ring of indices through a sentinel, the last entry.
  struct Entry {
    int32_t references = 0;
    int32_t previous = 0, next = 0;
  };
  const Entry& entry(int32_t block) const { return entries_[static_cast<size_t>(block)]; }
  Entry& entry(int32_t block) { return entries_[static_cast<size_t>(block)]; }
  int32_t sentinel() const { return static_cast<int32_t>(entries_.size()) - 1; }
  void insert_before(int32_t block, int32_t successor);
  void unlink(int32_t block);

  std::vector<Entry> entries_;
  int64_t n_free_ = 0;
  int64_t n_frees_ = 0;
};

}  // namespace qwen3
