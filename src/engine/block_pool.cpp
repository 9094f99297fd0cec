#include "engine/block_pool.h"

#include <limits>

#include "base/error.h"

namespace qwen3 {

BlockPool::BlockPool(int64_t n_blocks) {
  QWEN3_CHECK(n_blocks >= 1 && n_blocks < std::numeric_limits<int32_t>::max(),
              ErrorKind::invalid_argument,
              "KV cache: expected 1 to 2^31 - 2 blocks, got {}",
              n_blocks);
  entries_.resize(static_cast<size_t>(n_blocks) + 1);
  entry(sentinel()) = {.references = 0, .previous = sentinel(), .next = sentinel()};
  for (int32_t block = 0; block < sentinel(); ++block) insert_before(block, sentinel());
}

std::optional<int32_t> BlockPool::take() {
  if (n_free_ == 0) return std::nullopt;
  const int32_t block = entry(sentinel()).next;
  share(block);
  return block;
}

void BlockPool::share(int32_t block) {
  if (entry(block).references++ == 0) unlink(block);
}

void BlockPool::release(int32_t block, Content content) {
  QWEN3_CHECK(block >= 0 && block < sentinel() && entry(block).references > 0,
              ErrorKind::internal,
              "KV cache: block {} released without a user",
              block);
  if (--entry(block).references > 0) return;
  insert_before(block, content == Content::keep ? sentinel() : entry(sentinel()).next);
  ++n_frees_;
}

void BlockPool::insert_before(int32_t block, int32_t successor) {
  const int32_t previous = entry(successor).previous;
  entry(block).previous = previous;
  entry(block).next = successor;
  entry(previous).next = block;
  entry(successor).previous = block;
  ++n_free_;
}

void BlockPool::unlink(int32_t block) {
  const auto [references, previous, next] = entry(block);
  entry(previous).next = next;
  entry(next).previous = previous;
  --n_free_;
}

void BlockPool::check_conservation() const {
  int64_t n_unused = 0;
  for (int32_t block = 0; block < sentinel(); ++block) n_unused += references(block) == 0;
  int64_t n_listed = 0;
  for (int32_t b = entry(sentinel()).next; b != sentinel() && n_listed <= n_blocks();
       b = entry(b).next) {
    QWEN3_CHECK(
        references(b) == 0, ErrorKind::internal, "KV cache: used block {} is listed free", b);
    ++n_listed;
  }
  QWEN3_CHECK(n_unused == n_free_ && n_listed == n_free_,
              ErrorKind::internal,
              "KV cache: {} blocks without users, {} listed free, {} counted free",
              n_unused,
              n_listed,
              n_free_);
}

}  // namespace qwen3
