#include "engine/validate.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "engine/plan.h"
#include "qwen3/sampling.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxKeyBytes = 1024;  // of cache_salt and fair_key
constexpr size_t kMaxStopTokens = 1024;
constexpr size_t kMaxScoreIds = 4096;

// Written so that NaN fails.
void check_range(std::string_view field, double value, double low, double high) {
  QWEN3_CHECK(value >= low && value <= high,
              ErrorKind::invalid_argument,
              "{}: expected a number from {} to {}, got {}",
              field,
              low,
              high,
              value);
}

void check_count(std::string_view field, int64_t value, int64_t low, int64_t high) {
  QWEN3_CHECK(value >= low && value <= high,
              ErrorKind::invalid_argument,
              "{}: expected {} to {}, got {}",
              field,
              low,
              high,
              value);
}

void check_id(std::string_view field, int32_t id, const RequestLimits& limits) {
  QWEN3_CHECK(id >= 0 && id < limits.n_real_tokens,
              ErrorKind::invalid_argument,
              "{}: expected token ids from 0 to {}, got {}",
              field,
              limits.n_real_tokens - 1,
              id);
}

void check_size(std::string_view field, size_t size, size_t most) {
  QWEN3_CHECK(size <= most,
              ErrorKind::invalid_argument,
              "{}: expected at most {} entries, got {}",
              field,
              most,
              size);
}

void check_bytes(std::string_view field, std::string_view value) {
  QWEN3_CHECK(value.size() <= kMaxKeyBytes,
              ErrorKind::invalid_argument,
              "{}: expected at most {} bytes, got {}",
              field,
              kMaxKeyBytes,
              value.size());
}

void validate_ids(const SamplingParams& p, const RequestLimits& limits) {
  const auto n_ids = static_cast<size_t>(limits.n_real_tokens);
  check_size("logit_bias", p.logit_bias.size(), n_ids);
  for (const auto& [id, bias] : p.logit_bias) {
    check_id("logit_bias", id, limits);
    check_range("logit_bias", bias, -100.0, 100.0);
  }
  check_size("allowed_token_ids", p.allowed_token_ids.size(), n_ids);
  for (const int32_t id : p.allowed_token_ids) check_id("allowed_token_ids", id, limits);
  check_size("stop_token_ids", p.stop_token_ids.size(), kMaxStopTokens);
  for (const int32_t id : p.stop_token_ids) check_id("stop_token_ids", id, limits);
}

}  // namespace

void validate(const Request& request, const RequestLimits& limits) {
  const auto n_prompt = static_cast<int64_t>(request.prompt_ids.size());
  QWEN3_CHECK(n_prompt > 0,
              ErrorKind::invalid_argument,
              "prompt_ids: expected at least one token, got none");
  QWEN3_CHECK(limits.has_head || (request.embed && request.n_prompt_logprobs < 0),
              ErrorKind::unsupported,
              "embed: this is an embedding model (its checkpoint has no lm_head.weight): it cannot "
              "generate; expected a request for an embedding");
  QWEN3_CHECK(n_prompt <= limits.max_model_len || !request.embed,
              ErrorKind::invalid_argument,
              "prompt_ids: this model's maximum context length is {} tokens, the prompt has {}; "
              "shorten it",
              limits.max_model_len,
              n_prompt);
  QWEN3_CHECK(n_prompt < limits.max_model_len || request.embed,
              ErrorKind::invalid_argument,
              "prompt_ids: this model's maximum context length is {} tokens, the prompt has {} and "
              "leaves no room for a new one; shorten it",
              limits.max_model_len,
              n_prompt);
  for (const int32_t id : request.prompt_ids) check_id("prompt_ids", id, limits);
  QWEN3_CHECK(request.score_ids.empty() || !request.embed,
              ErrorKind::invalid_argument,
              "score_ids: not together with embed");
  check_size("score_ids", request.score_ids.size(), kMaxScoreIds);
  for (const int32_t id : request.score_ids) check_id("score_ids", id, limits);
  check_bytes("cache_salt", request.cache_salt);
  check_bytes("fair_key", request.fair_key);
  // One token at least was a prompt.
  check_count("n_generated_before", request.n_generated_before, 0, n_prompt - 1);
  check_count("n_prompt_logprobs", request.n_prompt_logprobs, -1, kMaxLogprobs);
  QWEN3_CHECK(request.routed_experts == RoutedExperts::none || limits.experts_per_row > 0,
              ErrorKind::unsupported,
              "routed_experts: this is a dense model: it has no experts");

  const SamplingParams& p = request.sampling;
  for (const SamplingField& field : sampling_fields()) {
    const double value = field.get(p);
    QWEN3_CHECK(field.accepts(value),
                ErrorKind::invalid_argument,
                "{}: expected {}, got {}",
                field.name,
                field.what_it_accepts(),
                value);
  }
  const int64_t room = limits.max_model_len - n_prompt;
  const int64_t n_new = p.max_tokens < 0 ? room : std::min(room, p.max_tokens);
  check_count("min_tokens", p.min_tokens, 0, request.n_generated_before + n_new);
  check_count("n_logprobs", p.n_logprobs, -1, kMaxLogprobs);
  validate_ids(p, limits);
}

void validate(const EngineOptions& o) {
  constexpr int64_t kMostTokens = 1 << 30;
  check_count("max_model_len", o.max_model_len, 0, kMostTokens);
  check_count("kv_cache_bytes", o.kv_cache_bytes, 0, int64_t{1} << 50);
  check_count("block_size", o.block_size, 16, 1024);
  QWEN3_CHECK(o.block_size % 16 == 0,
              ErrorKind::invalid_argument,
              "block_size: expected a multiple of 16, got {}",
              o.block_size);
  check_count("max_batch_tokens", o.max_batch_tokens, 0, 1 << 20);
  check_count("max_sequences",
              o.max_sequences,
              1,
              o.max_batch_tokens > 0 ? o.max_batch_tokens : int64_t{1} << 16);
  check_count("max_waiting", o.max_waiting, 1, 1 << 20);
  check_count("max_waiting_tokens", o.max_waiting_tokens, 0, int64_t{1} << 50);
  parse_kv_dtype(o.kv_dtype, DType::f32);
}

void check_tokenizer(const EngineOptions& o, int64_t vocab_size) {
  QWEN3_CHECK(o.n_real_tokens >= 0 && o.n_real_tokens <= vocab_size,
              ErrorKind::invalid_argument,
              "n_real_tokens: expected 0 to the model's vocab_size {}, got {}; is the tokenizer of "
              "another model?",
              vocab_size,
              o.n_real_tokens);
  for (const int32_t id : o.eos_token_ids) {
    QWEN3_CHECK(
        id >= 0 && id < vocab_size,
        ErrorKind::invalid_argument,
        "eos_token_ids: expected ids below the model's vocab_size {}, got {}; is the tokenizer of "
        "another model?",
        vocab_size,
        id);
  }
}

}  // namespace qwen3
