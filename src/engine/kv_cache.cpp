#include "engine/kv_cache.h"

#include "base/checked.h"

namespace qwen3 {
namespace {

constexpr int64_t kAlignment = 64;  // one cache line

// Bytes of one layer's keys (its values take the same), padded.
int64_t tensor_bytes(const HfConfig& c, const Backend& backend, const KvCacheShape& s) {
  return round_up(
      backend.kv_bytes(s.dtype, s.n_blocks, s.block_size, c.num_key_value_heads, c.head_dim),
      kAlignment);
}

}  // namespace

int64_t KvCache::bytes(const HfConfig& c, const Backend& backend, const KvCacheShape& shape) {
  return 2 * c.num_hidden_layers * tensor_bytes(c, backend, shape);
}

KvCache::KvCache(const HfConfig& c, const Backend& backend, const KvCacheShape& shape)
    : storage_(backend.allocate(bytes(c, backend, shape))) {
  const int64_t size = tensor_bytes(c, backend, shape);
  std::byte* next = storage_.data();
  const auto take = [&] {
    const Tensor tensor(next,
                        shape.dtype,
                        {shape.n_blocks, shape.block_size, c.num_key_value_heads, c.head_dim},
                        storage_.place());
    next += size;
    return tensor;
  };
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    const Tensor k = take();
    const Tensor v = take();
    layers_.push_back({k, v});
  }
}

}  // namespace qwen3
