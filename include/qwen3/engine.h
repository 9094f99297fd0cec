// Engine: many requests at once over one model. Token ids in, token ids out.
//
//   auto engine = qwen3::Engine(model);
//   auto stream = engine.submit({.prompt_ids = ids, .sampling = {.max_tokens = 32}});
//   while (auto event = stream.next()) use(event->token_id);
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "qwen3/model.h"

namespace qwen3 {

// Order of application (vLLM's): allowed ids and logit_bias, repetition penalty over prompt and
// output, frequency and presence penalties over the output, temperature, min_p, top_k, top_p, draw.
// The draw depends on the seed and on how many tokens were drawn before, on nothing else: a request
// gives the same tokens alone, in any company, and after a preemption.
struct SamplingParams {
  double temperature = 0.0;         // [0, 100]; below 1e-5: greedy, the lowest id wins ties
  int64_t top_k = 0;                // <= 0: off; ties with the k-th value are kept
  double top_p = 1.0;               // (0, 1]; of equal tokens at the edge the lower ids stay
  double min_p = 0.0;               // [0, 1]
  double presence_penalty = 0.0;    // [-2, 2]
  double frequency_penalty = 0.0;   // [-2, 2]
  double repetition_penalty = 1.0;  // [0.01, 100]
  std::vector<std::pair<int32_t, double>> logit_bias = {};  // added, each in [-100, 100]
  std::vector<int32_t> allowed_token_ids = {};              // not empty: nothing else is sampled
  std::optional<uint64_t> seed = {};                        // absent: a fresh one per request
  int64_t max_tokens = -1;  // >= 1, or -1: until the context is full (which always ends it)
  int64_t min_tokens = 0;   // end tokens are not sampled before
  std::vector<int32_t> stop_token_ids = {};
  bool ignore_eos = false;
  int n_logprobs = -1;  // -1: none; else the sampled token's and the n best (<= 20)
};

struct Request {
  std::vector<int32_t> prompt_ids = {};  // at least one
  SamplingParams sampling = {};
  // Requests share cached prefixes only with requests of the same salt (for example, one per user).
  std::string cache_salt = {};  // at most 1024 bytes
};

enum class FinishReason { stop, length, cancelled, error };

struct TokenLogprob {
  int32_t token_id;
  float logprob;  // natural log of the probability before temperature and filters
};

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;      // of the prompt, found in the prefix cache
  int64_t completion_tokens = 0;  // end token included
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
};

// One step of one request. The last event of every request has `finish`; exactly one does.
struct Event {
  int32_t token_id = -1;      // -1: this event only finishes
  bool is_end_token = false;  // the token is an end-of-sequence or stop id: not for display
  std::optional<TokenLogprob> logprob = {};
  std::vector<TokenLogprob> top_logprobs = {};
  std::optional<FinishReason> finish = {};
  Usage usage = {};        // complete when `finish` is set
  std::string error = {};  // when finish == error
};

struct EngineOptions {
  int64_t max_model_len = 0;  // longest sequence; 0: max_position_embeddings, or what fits
  // 0: enough for one sequence of max_model_len, or 1024 tokens for each of max_sequences, but at
  // most half of the free memory (all of it when max_model_len is given).
  int64_t kv_cache_bytes = 0;
  std::string kv_dtype = "auto";   // "auto" (bfloat16 for 16-bit weights), "float32", "bfloat16"
  int64_t block_size = 32;         // tokens per KV block, a multiple of 16
  int64_t max_batch_tokens = 512;  // rows per step: the prefill chunk
  int64_t max_sequences = 64;      // that run together
  int64_t max_waiting = 256;       // >= 1; beyond: submit throws Error{out_of_memory}
  bool prefix_cache = true;
  // ids >= this are never sampled (padding rows of the head); 0: vocab_size.
  int64_t n_real_tokens = 0;
};

class EventStream {
 public:
  // Blocks until the next event. Empty after the finishing event.
  std::optional<Event> next();
  // Ends the request; its blocks are free within one step. The finishing event still arrives.
  void cancel();
  // A dropped stream cancels its request.
  ~EventStream();
  EventStream(EventStream&&) noexcept;
  EventStream& operator=(EventStream&&) noexcept;

  struct State;
  explicit EventStream(std::shared_ptr<State> state);

 private:
  std::shared_ptr<State> state_;
};

struct EngineStats {
  int64_t n_running = 0, n_waiting = 0;
  int64_t n_blocks = 0, n_free_blocks = 0;  // cached blocks without users count as free
  int64_t n_steps = 0, n_preemptions = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
};

class Engine {
 public:
  // Starts the engine thread. Throws Error{out_of_memory} with the arithmetic if the cache for one
  // sequence does not fit.
  explicit Engine(std::shared_ptr<Model> model, const EngineOptions& options = {});
  ~Engine();  // cancels what is running and joins
  Engine(const Engine&) = delete;

  // Thread safe. Throws Error{invalid_argument} for parameters out of range, ids out of the
  // vocabulary, an empty prompt, or one that leaves no room for a token.
  EventStream submit(Request request);

  // Events by callback on the engine thread, the first possibly before submit returns. It must
  // return quickly, must not destroy the engine, and if it throws its request is dropped. The id is
  // for cancel().
  using OnEvent = std::function<void(const Event&)>;
  uint64_t submit(Request request, OnEvent on_event);
  void cancel(uint64_t request_id);

  EngineStats stats() const;
  int64_t max_model_len() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qwen3
