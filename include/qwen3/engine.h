// Engine: many requests at once over one model. Token ids in, token ids out.
//
//   auto engine = qwen3::Engine(model);
//   auto stream = engine.submit({.prompt_ids = ids, .sampling = {.max_tokens = 32}});
//   while (auto event = stream.next()) use(event->token_id);
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "qwen3/model.h"
#include "qwen3/request.h"

namespace qwen3 {

class SpanLog;  // the time of operations (docs/tracing.md); not part of this API

// What one step of the engine did, for timelines (EngineOptions::on_step).
struct StepReport {
  using Time = std::chrono::steady_clock::time_point;
  struct Computed {
    uint64_t request_id = 0;
    int64_t first_token = 0, n_tokens = 0;  // of the sequence: prompt, then generated
    int64_t n_prompt = 0;                   // tokens from here on are generated ones
    Time submitted = {};
  };
  struct Ended {
    uint64_t request_id = 0;
    FinishReason reason = FinishReason::stop;
    Time submitted = {};
  };
  Time begin = {}, end = {};
  std::vector<Computed> computed = {};  // empty: the step only ended requests
  std::vector<Ended> ended = {};
};

struct EngineOptions {
  int64_t max_model_len = 0;  // longest sequence; 0: max_position_embeddings, or what fits
  // 0: enough for one sequence of max_model_len, or 1024 tokens for each of max_sequences, but at
  // most half of the free memory (all of it when max_model_len is given).
  int64_t kv_cache_bytes = 0;
  std::string kv_dtype = "auto";  // (bfloat16 for 16-bit weights), "float32", "bfloat16", "q8"
  int64_t block_size = 32;        // tokens per KV block, a multiple of 16
  // Rows per step: the prefill chunk, >= max_sequences. 0: what the backend is fast with, 512 on processors, 2048 on cards.
  int64_t max_batch_tokens = 0;
  int64_t max_sequences = 64;  // that run together
  int64_t max_waiting = 256;   // >= 1; beyond: submit throws Error{busy}
  // Prompt tokens that may wait together; beyond: Error{busy}, unless nothing waits. 0: no limit.
  int64_t max_waiting_tokens = 0;
  bool prefix_cache = true;
  // ids >= this are never sampled (padding rows of the head); 0: vocab_size.
  int64_t n_real_tokens = 0;
  // End tokens besides those of the checkpoint's configs: Text::eos_token_ids.
  std::vector<int32_t> eos_token_ids = {};
  // Called on the engine thread after every step, before its events. It must be quick and must not
  // throw. Empty: nothing is reported, and nothing spent on it.
  std::function<void(const StepReport&)> on_step = {};
  // Gets the time of every operation of this engine's steps, on the engine thread. Borrowed: it
  // must outlive the engine. Null: nothing is timed, and nothing spent on it.
  SpanLog* operations = nullptr;
};

class EventStream {
 public:
  // Blocks until the next event. Empty after the finishing event.
  std::optional<Event> next();
  // The same for a reader who has other things to look at, too: empty also when none came in time.
  std::optional<Event> next_for(std::chrono::milliseconds patience);
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
  // How long the running step has taken so far, callbacks included; 0 between steps. Known while a
  // step hangs: for a watchdog.
  double step_seconds = 0;
};

class Engine {
 public:
  // Starts the engine thread. A model without a head (an embedding model) takes only requests with
  // `embed`. Throws Error{out_of_memory} with the arithmetic if the cache for one
  // sequence does not fit.
  explicit Engine(std::shared_ptr<Model> model, const EngineOptions& options = {});
  ~Engine();  // cancels what is running and joins
  Engine(const Engine&) = delete;

  // Thread safe. Throws Error{invalid_argument} for parameters out of range, ids out of the
  // vocabulary, an empty prompt, or one that leaves no room for a token; Error{busy} when the queue
  // is full; Error{unsupported} when logits are asked of an embedding model.
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
