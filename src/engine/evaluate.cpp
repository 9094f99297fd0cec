#include "engine/evaluate.h"

#include <algorithm>
#include <numeric>

#include "base/available_memory.h"
#include "base/checked.h"
#include "base/error.h"
#include "engine/model_impl.h"
#include "engine/plan.h"
#include "model/qwen3.h"

namespace qwen3 {
namespace {

constexpr int64_t kBlockSize = 32;
constexpr int64_t kMaxChunk = 512;
constexpr int64_t kMaxLogitBytes = 64 << 20;

void check_ids(const HfConfig& c, std::span<const int32_t> ids) {
  const int64_t context = c.context_length();
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

// Where every row's logits are wanted, the logits buffer limits the chunk.
int64_t affordable_rows(const HfConfig& c) {
  return std::clamp<int64_t>(
      kMaxLogitBytes / (c.vocab_size * dtype_size(DType::f32)), 1, kMaxChunk);
}

}  // namespace

Evaluation::Evaluation(Model& model, std::span<const int32_t> ids, const EvaluationOptions& options)
    : model_(model), ids_(ids), tap_(options.tap), first_row_(options.first_row) {
  Model::Impl& m = impl_of(model);
  check_generates(m);
  check_ids(m.config, ids);
  const auto n_tokens = static_cast<int64_t>(ids.size());
  QWEN3_CHECK(first_row_ >= 0 && first_row_ < n_tokens,
              ErrorKind::invalid_argument,
              "first_row: expected 0 to {}, got {}",
              n_tokens - 1,
              first_row_);
  logit_chunk_ =
      tap_ != nullptr ? n_tokens : std::min(n_tokens - first_row_, affordable_rows(m.config));
  token_chunk_ = std::max(logit_chunk_, std::min(first_row_, kMaxChunk));
  shape_ = {.dtype = parse_kv_dtype(options.kv_dtype, m.backend->widest_kv_dtype()),
            .n_blocks = ceil_div(n_tokens, kBlockSize),
            .block_size = kBlockSize};
  const int64_t needed =
      KvCache::bytes(m.buffers_config(), *m.backend, shape_) +
      Qwen3::buffer_bytes(m.buffers_config(), *m.backend, token_chunk_, logit_chunk_, n_tokens);
  const int64_t available = m.available_bytes(token_chunk_, logit_chunk_);
  QWEN3_CHECK(needed <= available,
              ErrorKind::out_of_memory,
              "evaluate: {} tokens need {}, {} are available; use fewer tokens",
              n_tokens,
              format_bytes(needed),
              format_bytes(available));
  const std::shared_ptr<Model> borrowed(std::shared_ptr<void>(), &model);
  runner_ = make_model_runner(borrowed,
                              {.kv = shape_,
                               .max_batch_tokens = token_chunk_,
                               .max_logit_rows = logit_chunk_,
                               .max_model_len = n_tokens,
                               .operations = options.operations});
  positions_.resize(ids.size());
  blocks_.resize(static_cast<size_t>(shape_.n_blocks));
  slots_.resize(ids.size());
  std::iota(positions_.begin(), positions_.end(), 0);
  std::iota(blocks_.begin(), blocks_.end(), 0);
  std::iota(slots_.begin(), slots_.end(), int64_t{0});
}

// The last n_logit_rows of the chunk get logits.
Tensor Evaluation::forward(int64_t begin, int64_t n_tokens, int64_t n_logit_rows) {
  const auto from = static_cast<size_t>(begin), count = static_cast<size_t>(n_tokens);
  const std::vector<int32_t> cu_seqlens_q{0, static_cast<int32_t>(n_tokens)};
  const std::vector<int32_t> kv_lens{static_cast<int32_t>(begin + n_tokens)};
  const Batch batch{.token_ids = ids_.subspan(from, count),
                    .positions = std::span<const int32_t>(positions_).subspan(from, count),
                    .slot_mapping = std::span<const int64_t>(slots_).subspan(from, count),
                    .cu_seqlens_q = cu_seqlens_q,
                    .kv_lens = kv_lens,
                    .block_tables = blocks_,
                    .max_blocks_per_seq = shape_.n_blocks,
                    .logit_rows = std::span<const int32_t>(positions_)
                                      .subspan(count - static_cast<size_t>(n_logit_rows),
                                               static_cast<size_t>(n_logit_rows))};
  const Tensor logits = runner_->run(batch, tap_);
  return logits.place() == Place::host ? logits : runner_->host_rows(logits, 0, logits.dim(0));
}

std::optional<Evaluation::Rows> Evaluation::next() {
  const auto n_tokens = static_cast<int64_t>(ids_.size());
  if (at_ == n_tokens) return std::nullopt;
  while (at_ < first_row_) {
    const int64_t count = std::min(token_chunk_, first_row_ - at_);
    forward(at_, count, 0);
    at_ += count;
  }
  const int64_t begin = at_;
  const int64_t count = std::min(logit_chunk_, n_tokens - begin);
  Rows rows{begin, forward(begin, count, count)};
  at_ += count;
  return rows;
}

void evaluate(Model& model,
              std::span<const int32_t> ids,
              const EvaluationOptions& options,
              const OnLogits& on_logits) {
  Evaluation evaluation(model, ids, options);
  while (const auto rows = evaluation.next()) on_logits(rows->first_row, rows->logits);
}

}  // namespace qwen3
