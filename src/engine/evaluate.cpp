#include "engine/evaluate.h"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <vector>

#include "base/available_memory.h"
#include "base/checked.h"
#include "base/error.h"
#include "engine/kv_cache.h"
#include "engine/model_impl.h"
#include "engine/plan.h"
#include "model/qwen3.h"

namespace qwen3 {
namespace {

constexpr int64_t kBlockSize = 32;
constexpr int64_t kMaxChunk = 512;
constexpr int64_t kMaxLogitBytes = 64 << 20;

void check_ids(const HfConfig& c, std::span<const int32_t> ids) {
  const int64_t context = model_context_length(c);
  QWEN3_CHECK(!ids.empty() && static_cast<int64_t>(ids.size()) <= context,
              ErrorKind::invalid_argument,
              "ids: expected 1 to {} tokens, got {}",
              context,
              ids.size());
  for (const int32_t id : ids) {
    QWEN3_CHECK(id >= 0 && id < c.vocab_size,
                ErrorKind::invalid_argument,
                "ids: expected token ids from 0 to {}, got {}",
                c.vocab_size - 1,
                id);
  }
}

// Every row's logits are wanted, so the logits buffer limits the chunk.
int64_t chunk_rows(const HfConfig& c, int64_t n_tokens, const Tap* tap) {
  if (tap != nullptr) return n_tokens;
  const int64_t affordable = kMaxLogitBytes / (c.vocab_size * dtype_size(DType::f32));
  return std::min(n_tokens, std::clamp<int64_t>(affordable, 1, kMaxChunk));
}

}  // namespace

void evaluate(Model& model, std::span<const int32_t> ids, Tap* tap, const OnLogits& on_logits) {
  Model::Impl& m = model.impl();
  check_generates(m);
  check_ids(m.config, ids);
  const auto n_tokens = static_cast<int64_t>(ids.size());
  const int64_t chunk = chunk_rows(m.config, n_tokens, tap);
  const KvCacheShape shape{
      .dtype = DType::f32, .n_blocks = ceil_div(n_tokens, kBlockSize), .block_size = kBlockSize};
  const int64_t needed =
      KvCache::bytes(m.config, *m.backend, shape) + Qwen3::buffer_bytes(m.config, chunk, chunk);
  QWEN3_CHECK(needed <= available_memory_bytes(),
              ErrorKind::out_of_memory,
              "evaluate: {} tokens need {}, {} are available; use fewer tokens",
              n_tokens,
              format_bytes(needed),
              format_bytes(available_memory_bytes()));

  const std::lock_guard lock(m.backend_mutex);
  const KvCache kv(m.config, *m.backend, shape);
  Qwen3 qwen3(m.config, m.weights, *m.backend, chunk, chunk, n_tokens);
  std::vector<int32_t> positions(ids.size()), blocks(static_cast<size_t>(shape.n_blocks));
  std::vector<int64_t> slots(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  std::iota(blocks.begin(), blocks.end(), 0);
  std::iota(slots.begin(), slots.end(), int64_t{0});
  for (int64_t begin = 0; begin < n_tokens; begin += chunk) {
    const int64_t n_rows = std::min(chunk, n_tokens - begin);
    const auto from = static_cast<size_t>(begin), count = static_cast<size_t>(n_rows);
    const std::vector<int32_t> cu_seqlens_q{0, static_cast<int32_t>(n_rows)};
    const std::vector<int32_t> kv_lens{static_cast<int32_t>(begin + n_rows)};
    const Batch batch{.token_ids = ids.subspan(from, count),
                      .positions = std::span<const int32_t>(positions).subspan(from, count),
                      .slot_mapping = std::span<const int64_t>(slots).subspan(from, count),
                      .cu_seqlens_q = cu_seqlens_q,
                      .kv_lens = kv_lens,
                      .block_tables = blocks,
                      .max_blocks_per_seq = shape.n_blocks,
                      .logit_rows = std::span<const int32_t>(positions).first(count)};
    on_logits(begin, qwen3.forward(batch, kv.layers(), tap));
  }
}

}  // namespace qwen3
