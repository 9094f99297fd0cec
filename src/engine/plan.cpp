#include "engine/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/available_memory.h"
#include "base/checked.h"
#include "base/error.h"
#include "engine/kv_cache.h"
#include "engine/scheduler.h"
#include "model/qwen3.h"

namespace qwen3 {
namespace {

// Tokens that the default cache holds for each sequence that may run, if memory allows.
constexpr int64_t kTokensPerSequence = 1024;

std::string sum_in_words(const MemoryPlan& p) {
  return fmt::format("{} available - {} weights - {} activations - {} margin",
                     format_bytes(p.available_bytes),
                     format_bytes(p.weight_bytes),
                     format_bytes(p.activation_bytes),
                     format_bytes(p.margin_bytes));
}

// Blocks of the default cache: one longest sequence, or a moderate length for all that may run.
int64_t default_blocks(int64_t wanted_len,
                       int64_t share_bytes,
                       int64_t block_bytes,
                       const EngineOptions& o) {
  const int64_t for_one = ceil_div(wanted_len, o.block_size);
  const int64_t for_all =
      o.max_sequences * ceil_div(std::min(wanted_len, kTokensPerSequence), o.block_size);
  return std::min(std::max(for_one, for_all), share_bytes / block_bytes);
}

}  // namespace

DType kv_dtype_of(const EngineOptions& options, WeightType weight_type, const Backend& backend) {
  return parse_kv_dtype(options.kv_dtype,
                        weight_type == WeightType::f32 ? backend.widest_kv_dtype() : DType::bf16);
}

DType parse_kv_dtype(std::string_view name, DType automatic) {
  if (name == "auto") return automatic;
  for (const DType type : {DType::f32, DType::bf16, DType::q8}) {
    if (name == dtype_name(type)) return type;
  }
  fail(ErrorKind::invalid_argument,
       "kv_dtype: expected auto, float32, bfloat16 or q8, got \"{}\"",
       name);
}

int64_t max_batch_tokens(const EngineOptions& options, const Backend& backend) {
  return options.max_batch_tokens > 0 ? options.max_batch_tokens
                                      : std::max(backend.step_rows(), options.max_sequences);
}

int64_t max_logit_rows(const EngineOptions& options) { return options.max_sequences + kScoreRows; }

MemoryPlan plan_memory(const HfConfig& c,
                       const Backend& backend,
                       WeightType weight_type,
                       int64_t weight_bytes,
                       int64_t available_bytes,
                       const EngineOptions& o) {
  MemoryPlan p;
  p.available_bytes = available_bytes;
  p.weight_bytes = weight_bytes;
  const int64_t context = c.context_length();
  const int64_t wanted_len = o.max_model_len > 0 ? o.max_model_len : context;
  p.activation_bytes = Qwen3::buffer_bytes(
      c, backend, max_batch_tokens(o, backend), max_logit_rows(o), std::min(wanted_len, context));
  p.margin_bytes = available_bytes / 20;
  p.kv_dtype = kv_dtype_of(o, weight_type, backend);
  p.block_size = o.block_size;
  const int64_t block_bytes =
      KvCache::bytes(c, backend, {.dtype = p.kv_dtype, .n_blocks = 1, .block_size = o.block_size});
  p.kv_bytes_per_token = block_bytes / o.block_size;
  const int64_t left = available_bytes - weight_bytes - p.activation_bytes - p.margin_bytes;
  p.longest_context = std::clamp<int64_t>(left / block_bytes * o.block_size, 0, context);

  // By itself the cache takes at most half of what is left; asked for, it may take all.
  const int64_t share = std::max<int64_t>(0, o.max_model_len > 0 ? left : left / 2);
  p.n_blocks = o.kv_cache_bytes > 0 ? o.kv_cache_bytes / block_bytes
                                    : default_blocks(wanted_len, share, block_bytes, o);
  p.kv_cache_bytes = p.n_blocks * block_bytes;
  p.max_model_len = std::min(wanted_len, p.n_blocks * o.block_size);

  if (wanted_len < 2) {
    p.problem = fmt::format(
        "context: expected at least 2 tokens, one of a prompt and one of an answer; got {}; is "
        "max_position_embeddings or max_model_len a mistake?",
        wanted_len);
  } else if (left < 0) {
    p.problem =
        fmt::format("memory: short of {}: {}; use a smaller model, or a machine with more memory",
                    format_bytes(-left),
                    sum_in_words(p));
  } else if (p.n_blocks < 1 || p.max_model_len < 2 || p.kv_cache_bytes > left) {
    p.problem = fmt::format(
        "memory: the KV cache needs {} ({} for each block of {} tokens), {} is left ({}); a "
        "smaller kv_cache_bytes, max_batch_tokens or model may fit",
        format_bytes(std::max(p.kv_cache_bytes, block_bytes)),
        format_bytes(block_bytes),
        o.block_size,
        format_bytes(left),
        sum_in_words(p));
  } else if (p.max_model_len < o.max_model_len) {
    p.problem = fmt::format(
        "memory: a sequence of {} tokens needs {} of KV cache; {} is available, for {} tokens "
        "({}); choose a shorter max_model_len",
        o.max_model_len,
        format_bytes(ceil_div(o.max_model_len, o.block_size) * block_bytes),
        format_bytes(p.kv_cache_bytes),
        p.max_model_len,
        sum_in_words(p));
  }
  return p;
}

}  // namespace qwen3
