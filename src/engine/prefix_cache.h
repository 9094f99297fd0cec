// PrefixCache: finds KV blocks that already hold the beginning of a sequence.
//
// Only full blocks are kept. An entry is (parent entry, the block's tokens), for a first block (the
// request's salt, tokens); a hash finds candidates and the full tokens are compared on every hit,
// so that a collision can never hand out another text's keys. Parents are named by a serial number
// that is never used again, hence comparing one block compares the whole prefix before it.
//
// The entry of a free block stays until the pool hands the block out (forget). Users hold all
// blocks of a prefix, and release them last block first, so a parent always outlives its children.
//
// Not thread safe: the engine thread owns it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/block_pool.h"

namespace qwen3 {

class PrefixCache {
 public:
  // Replaceable for tests; the default is keyed by a random number per cache.
  using Hash = uint64_t (*)(uint64_t key,
                            int64_t parent,
                            std::span<const int32_t> tokens,
                            std::string_view salt);

  PrefixCache(int64_t n_blocks, int64_t block_size, Hash hash = nullptr);

  // Name of an entry; kRoot is the parent of first blocks.
  using Serial = int64_t;
  static constexpr Serial kRoot = 0;
  struct Hit {
    int32_t block = -1;  // -1: nothing known
    Serial serial = kRoot;
  };

  // The block that holds `tokens` (block_size of them) after `parent`. `salt` counts when parent is
  // kRoot; deeper entries inherit it.
  Hit find(Serial parent, std::span<const int32_t> tokens, std::string_view salt) const;
  // Remembers a block's content. REQUIRES: find() of the same arguments gives nothing, `block` has
  // no entry yet. Throws std::bad_alloc, having remembered nothing.
  Serial insert(int32_t block,
                Serial parent,
                std::span<const int32_t> tokens,
                std::string_view salt);
  // The block's content is about to be overwritten. Does nothing if it has no entry.
  void forget(int32_t block);

  bool contains(int32_t block) const { return entry(block).serial != kRoot; }
  int64_t n_entries() const { return n_entries_; }

 private:
  struct Entry {
    Serial serial = kRoot;  // kRoot: no entry
    Serial parent = kRoot;
    uint64_t hash = 0;
    int32_t next = -1;  // in the bucket's chain
    std::string salt;
  };
  const Entry& entry(int32_t block) const { return entries_[static_cast<size_t>(block)]; }
  std::span<const int32_t> tokens_of(int32_t block) const {
    const auto size = static_cast<size_t>(block_size_);
    return {tokens_.data() + static_cast<size_t>(block) * size, size};
  }
  size_t bucket(uint64_t hash) const { return static_cast<size_t>(hash) & (buckets_.size() - 1); }

  int64_t block_size_;
  Hash hash_;
  uint64_t key_;
  std::vector<Entry> entries_;    // by block
  std::vector<int32_t> tokens_;   // [n_blocks, block_size]
  std::vector<int32_t> buckets_;  // first block of each chain, -1 when empty; a power of two
  Serial last_serial_ = kRoot;
  int64_t n_entries_ = 0;
};

}  // namespace qwen3
