// KvCache: the bytes of the KV blocks of all layers. Which block belongs to whom is BlockPool's
// business, how a block is arranged inside is the backend's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/hf_config.h"
#include "kernels/backend.h"
#include "tensor/storage.h"

namespace qwen3 {

struct KvCacheShape {
  DType dtype = DType::bf16;
  int64_t n_blocks = 0;
  int64_t block_size = 0;
};

class KvCache {
 public:
  // Throws Error{out_of_memory}. Memory becomes resident block by block, when first written.
  KvCache(const HfConfig& config, const Backend& backend, const KvCacheShape& shape);

  std::span<const KvLayer> layers() const { return layers_; }

  // Bytes of the whole cache.
  static int64_t bytes(const HfConfig& config, const Backend& backend, const KvCacheShape& shape);

 private:
  Storage storage_;
  std::vector<KvLayer> layers_;
};

}  // namespace qwen3
