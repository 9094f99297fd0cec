#include "engine/prefix_cache.h"

#include <algorithm>
#include <bit>
#include <random>

#include "base/error.h"
#include "base/mix64.h"

namespace qwen3 {
namespace {

uint64_t default_hash(uint64_t key,
                      int64_t parent,
                      std::span<const int32_t> tokens,
                      std::string_view salt) {
  uint64_t h = mix64(key ^ static_cast<uint64_t>(parent));
  for (const int32_t token : tokens) h = mix64(h ^ static_cast<uint32_t>(token));
  for (const char c : salt) h = mix64(h ^ static_cast<uint8_t>(c));
  return h;
}

uint64_t random_key() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

PrefixCache::PrefixCache(int64_t n_blocks, int64_t block_size, Hash hash)
    : block_size_(block_size),
      hash_(hash != nullptr ? hash : default_hash),
      key_(random_key()),
      entries_(static_cast<size_t>(n_blocks)),
      tokens_(static_cast<size_t>(n_blocks * block_size)),
      buckets_(std::bit_ceil(static_cast<size_t>(n_blocks)), -1) {}

PrefixCache::Hit PrefixCache::find(Serial parent,
                                   std::span<const int32_t> tokens,
                                   std::string_view salt) const {
  if (parent != kRoot) salt = {};
  const uint64_t hash = hash_(key_, parent, tokens, salt);
  for (int32_t block = buckets_[bucket(hash)]; block >= 0; block = entry(block).next) {
    const Entry& e = entry(block);
    if (e.hash == hash && e.parent == parent && e.salt == salt &&
        std::ranges::equal(tokens_of(block), tokens)) {
      return {block, e.serial};
    }
  }
  return {};
}

PrefixCache::Serial PrefixCache::insert(int32_t block,
                                        Serial parent,
                                        std::span<const int32_t> tokens,
                                        std::string_view salt) {
  QWEN3_CHECK(!contains(block) && static_cast<int64_t>(tokens.size()) == block_size_,
              ErrorKind::internal,
              "prefix cache: block {} inserted twice or with {} tokens",
              block,
              tokens.size());
  if (parent != kRoot) salt = {};
  Entry& e = entries_[static_cast<size_t>(block)];
  e.salt = salt;  // first: this may throw, and then the block has no entry
  e.serial = ++last_serial_;
  e.parent = parent;
  e.hash = hash_(key_, parent, tokens, salt);
  e.next = std::exchange(buckets_[bucket(e.hash)], block);
  std::ranges::copy(tokens, tokens_.begin() + block * block_size_);
  ++n_entries_;
  return e.serial;
}

void PrefixCache::forget(int32_t block) {
  if (!contains(block)) return;
  Entry& e = entries_[static_cast<size_t>(block)];
  int32_t* link = &buckets_[bucket(e.hash)];
  while (*link != block) link = &entries_[static_cast<size_t>(*link)].next;
  *link = e.next;
  e.serial = kRoot;
  --n_entries_;
}

}  // namespace qwen3
