#include "model/qwen3.h"

#include <algorithm>

#include "base/error.h"
#include "model/decoder_layer.h"

namespace qwen3 {
namespace {

struct Plan {
  Buffers buffers;
  Tensor selected, logits;
};

Plan lay_out(Arena& arena,
             const HfConfig& c,
             const Backend& backend,
             int64_t max_tokens,
             int64_t max_logit_rows) {
  return {make_buffers(arena, c, max_tokens, backend.activation_dtype()),
          arena.take(DType::f32, {max_logit_rows, c.hidden_size}),
          arena.take(DType::f32, {max_logit_rows, c.vocab_size})};
}

int64_t measure(const HfConfig& c,
                const Backend& backend,
                int64_t max_tokens,
                int64_t max_logit_rows) {
  Arena arena;
  lay_out(arena, c, backend, max_tokens, max_logit_rows);
  return arena.used();
}

}  // namespace

int64_t Qwen3::buffer_bytes(const HfConfig& config,
                            const Backend& backend,
                            int64_t max_tokens,
                            int64_t max_logit_rows,
                            int64_t max_kv_len) {
  return measure(config, backend, max_tokens, max_logit_rows) +
         RopeTable::bytes(config, max_kv_len);
}

Qwen3::Qwen3(const HfConfig& config,
             const Weights& weights,
             Backend& backend,
             int64_t max_tokens,
             int64_t max_logit_rows,
             int64_t max_kv_len,
             StepWindows* windows)
    : config_(config),
      weights_(weights),
      backend_(backend),
      rope_(config, backend, max_kv_len),
      storage_(backend.allocate(measure(config, backend, max_tokens, max_logit_rows))),
      windows_(windows),
      vocabulary_(windows == nullptr ? Range{0, config.vocab_size}
                                     : vocabulary_share(config.vocab_size, windows->shard())) {
  Arena arena(storage_);
  const Plan plan = lay_out(arena, config, backend, max_tokens, max_logit_rows);
  buffers_ = plan.buffers;
  selected_ = plan.selected;
  logits_ = plan.logits;
  const int64_t max_features = std::max({config.hidden_size,
                                         config.intermediate_size,
                                         config.num_attention_heads * config.head_dim,
                                         config.moe_intermediate_size});
  backend.reserve({.n_tokens = max_tokens,
                   .n_logit_rows = max_logit_rows,
                   .n_features = max_features,
                   .kv_len = max_kv_len});
}

Tensor Qwen3::forward(const Batch& batch, std::span<const KvLayer> kv, Tap* tap) {
  QWEN3_CHECK(batch.n_tokens() <= buffers_.x.dim(0),
              ErrorKind::internal,
              "forward: batch of {} tokens, at most {}",
              batch.n_tokens(),
              buffers_.x.dim(0));
  QWEN3_CHECK(kTaps || tap == nullptr,
              ErrorKind::unsupported,
              "forward: expected no tap in a program built with QWEN3_TAPS=OFF; got one");
  QWEN3_CHECK(batch.logit_rows.empty() || weights_.lm_head.weight || vocabulary_.empty(),
              ErrorKind::internal,
              "forward: {} rows of logits asked of a model without a head",
              batch.logit_rows.size());
  if (tap != nullptr) tap->begin_step(batch.positions);
  const BoundBatch bound =
      backend_.bind(batch, tap != nullptr ? Backend::Watched::yes : Backend::Watched::no);
  rope_.reach(backend_, batch.positions);
  backend_.step(bound,
                {buffers_.x.data(), logits_.data(), kv.front().k.data(), kv.back().v.data()},
                [&] { forward(bound, kv, tap); });
  experts_ = buffers_.first_rows(bound.n_tokens()).experts;
  hidden_ = selected_.rows(bound.logit_rows.dim(0), static_cast<int64_t>(batch.hidden_rows.size()));
  residual_ = buffers_.x.rows(0, bound.n_tokens());
  return logits(static_cast<int64_t>(batch.logit_rows.size()));
}

// Ranks write their columns into rank 0's memory.
Tensor Qwen3::logits(int64_t n_rows) const {
  return windows_ == nullptr ? logits_.rows(0, n_rows) : windows_->logits(n_rows);
}

void Qwen3::forward(const BoundBatch& batch, std::span<const KvLayer> kv, Tap* tap) {
  const Buffers buffers = buffers_.first_rows(batch.n_tokens());
  const Tensor& x = buffers.x;  // [n_tokens, hidden_size]
  Run run(backend_, config_, batch, buffers, windows_, tap);

  rope_.gather(run.ops, buffers.cos, buffers.sin, batch.positions);
  run.tap("rotary_cos", buffers.cos);  // [n_tokens, head_dim / 2]
  run.tap("rotary_sin", buffers.sin);
  if (windows_ == nullptr) {
    run.ops.embed(x, batch.token_ids, weights_.embed_tokens);
  } else {  // each rank its rows, and zeros: or'ed they are all
    windows_->communicator().place.what = "embed_tokens";
    run.ops.embed_own(windows_->node(0, batch.n_tokens()),
                      batch.token_ids,
                      weights_.embed_tokens,
                      vocabulary_.begin);
    windows_->merge_bits(x);
  }
  run.tap("embed_tokens", x);

  for (size_t i = 0; i < weights_.layers.size(); ++i) {
    decoder_layer(x, {static_cast<int64_t>(i), weights_.layers[i], kv[i]}, run);
  }

  run.scope(-1);
  const int64_t n_logit_rows = batch.logit_rows.dim(0), n_hidden_rows = batch.hidden_rows.dim(0);
  // Of a rank its columns: [.., vocab_size]
  const Tensor own_logits = logits(n_logit_rows).columns(vocabulary_.begin, vocabulary_.size());
  const Tensor normed = selected_.rows(0, n_logit_rows + n_hidden_rows);  // [.., hidden_size]
  run.showing({"norm", "logits"}, [&] {
    run.ops.head(own_logits, normed, x, batch, run.norm(weights_.norm), weights_.lm_head);
  });
  if (windows_ != nullptr) windows_->gather_logits(n_logit_rows);
}

}  // namespace qwen3
