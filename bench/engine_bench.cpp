// engine_bench: what the engine itself costs, without a model.
//
//   engine_bench [N [THREADS]]     N repetitions (default 200); THREADS of the model (all cores)
//
// First the sampler over the vocabulary of Qwen3 (151,936) on logits shaped like a model's, one row
// at a time; then whole steps over a model that returns at once: scheduling, the batch, sampling
// one row of a small vocabulary, delivery of the event; then what is between two passes of a model
// with 16 sequences and that large vocabulary. Medians of wall-clock time.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <random>
#include <vector>

#include "engine/engine_core.h"
#include "hardware/cpu_info.h"
#include "hardware/thread_pool.h"

namespace qwen3 {
namespace {

using Microseconds = std::chrono::duration<double, std::micro>;

constexpr int64_t kVocab = 151936, kRealTokens = 151669;

double median(std::vector<double> values) {
  std::nth_element(
      values.begin(), values.begin() + static_cast<int64_t>(values.size()) / 2, values.end());
  return values[values.size() / 2];
}

// Most of the mass on few tokens, a long normal tail.
std::vector<float> model_like_logits() {
  std::mt19937 random(1);
  std::normal_distribution<float> tail(0, 2.5f);
  std::vector<float> logits(kVocab);
  for (float& x : logits) x = tail(random);
  for (int i = 0; i < 40; ++i)
    logits[random() % kRealTokens] = 12.0f + 0.25f * static_cast<float>(i);
  return logits;
}

void bench_sampler(const char* name, const SamplingParams& params, int64_t n_tokens, int n) {
  const std::vector<float> logits = model_like_logits();
  std::vector<float> row(logits.size());
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n_tokens; ++i)
    tokens.push_back(static_cast<int32_t>(i * 37 % kRealTokens));
  Sampler sampler(kVocab, kRealTokens);
  std::vector<double> times;
  for (int i = 0; i < n; ++i) {
    std::ranges::copy(logits, row.begin());
    const auto begin = Clock::now();
    const Sampled sampled = sampler.sample(row,
                                           {.params = params,
                                            .tokens = tokens,
                                            .n_prompt = n_tokens / 2,
                                            .end_ids = {},
                                            .seed = static_cast<uint64_t>(i)});
    times.push_back(Microseconds(Clock::now() - begin).count());
    if (sampled.token_id < 0) fmt::print("no token\n");
  }
  fmt::print("{:<58} {:8.1f} us\n", name, median(times));
}

// Returns the same logits at once.
class InstantModel final : public ModelRunner {
 public:
  explicit InstantModel(int64_t max_rows) : logits_(static_cast<size_t>(max_rows) * 64) {}
  int64_t vocab_size() const override { return 64; }
  Tensor run(const Batch& batch, Tap* /*tap*/) override {
    return Tensor::view(logits_, {static_cast<int64_t>(batch.logit_rows.size()), 64});
  }

 private:
  std::vector<float> logits_;
};

// Microseconds per step with n_sequences decoding after a prompt of n_prompt tokens each.
double step_time(int64_t n_sequences, int64_t n_prompt, int64_t n_steps, bool stream) {
  EngineCore core(std::make_unique<InstantModel>(n_sequences),
                  {.scheduler = {.n_blocks = n_sequences * ((n_prompt + n_steps) / 32 + 2),
                                 .block_size = 32,
                                 .max_batch_tokens = std::max<int64_t>(n_sequences * n_prompt, 512),
                                 .max_sequences = n_sequences},
                   .limits = {.n_real_tokens = 64, .max_model_len = n_prompt + n_steps + 1},
                   .max_waiting = n_sequences,
                   .eos_token_ids = {}});
  const Request request{.prompt_ids = std::vector<int32_t>(static_cast<size_t>(n_prompt), 1),
                        .sampling = {.max_tokens = n_steps}};
  if (stream) {
    auto events = core.submit(request);
    events.next();
    const auto begin = Clock::now();
    while (events.next()) continue;
    return Microseconds(Clock::now() - begin).count() / static_cast<double>(n_steps - 1);
  }
  std::mutex mutex;
  std::condition_variable done;
  int64_t n_finished = 0, n_begun = 0;
  Clock::time_point begin;
  for (int64_t i = 0; i < n_sequences; ++i) {
    core.submit(request, [&, first = true](const Event& event) mutable {
      if (std::exchange(first, false) && ++n_begun == n_sequences) begin = Clock::now();
      if (!event.finish) return;
      const std::lock_guard lock(mutex);
      if (++n_finished == n_sequences) done.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return n_finished == n_sequences; });
  return Microseconds(Clock::now() - begin).count() / static_cast<double>(n_steps - 1);
}

void bench_steps(const char* name, int64_t n_sequences, int64_t n_prompt, bool stream, int n) {
  std::vector<double> times;
  for (int i = 0; i < std::max(3, n / 20); ++i) {
    times.push_back(step_time(n_sequences, n_prompt, 2000, stream));
  }
  fmt::print("{:<58} {:8.2f} us\n", name, median(times));
}

// Its logits are written by all threads, each a stripe of every row, as by the last product of a
// model: whoever samples a row finds most of it in the caches of other cores.
class LargeVocabulary final : public ModelRunner {
 public:
  LargeVocabulary(int64_t n_rows, int n_threads, std::vector<double>& gaps)
      : pool_(n_threads), gaps_(gaps), source_(model_like_logits()) {
    logits_.resize(static_cast<size_t>(n_rows * kVocab));
  }
  int64_t vocab_size() const override { return kVocab; }
  int n_threads() const override { return pool_.size(); }
  void for_each_row(int64_t n_rows, const RowBody& body) override {
    pool_.parallel_for(n_rows, body);
  }

  Tensor run(const Batch& batch, Tap* /*tap*/) override {
    if (returned_ != Clock::time_point()) {
      gaps_.push_back(Microseconds(Clock::now() - returned_).count());
    }
    const auto n_rows = static_cast<int64_t>(batch.logit_rows.size());
    constexpr int64_t kStripe = 1024;
    pool_.parallel_for((kVocab + kStripe - 1) / kStripe, [&](int64_t stripe, int) {
      const int64_t begin = stripe * kStripe, size = std::min(kStripe, kVocab - begin);
      for (int64_t row = 0; row < n_rows; ++row) {
        std::copy_n(source_.begin() + begin, size, logits_.begin() + row * kVocab + begin);
      }
    });
    returned_ = Clock::now();
    return Tensor::view(logits_, {n_rows, kVocab});
  }

 private:
  ThreadPool pool_;
  std::vector<double>& gaps_;  // us between two runs
  std::vector<float> source_, logits_;
  Clock::time_point returned_;
};

void bench_between_passes(const char* name, const SamplingParams& params, int n_threads, int n) {
  constexpr int64_t kSequences = 16;
  std::vector<double> gaps;
  EngineCore core(std::make_unique<LargeVocabulary>(kSequences, n_threads, gaps),
                  {.scheduler = {.n_blocks = kSequences * (n / 32 + 2),
                                 .block_size = 32,
                                 .max_batch_tokens = 512,
                                 .max_sequences = kSequences},
                   .limits = {.n_real_tokens = kRealTokens, .max_model_len = n + 17},
                   .max_waiting = kSequences,
                   .eos_token_ids = {}});
  Request request{.prompt_ids = std::vector<int32_t>(16, 1), .sampling = params};
  request.sampling.max_tokens = n;
  std::vector<EventStream> streams;
  for (int64_t i = 0; i < kSequences; ++i) streams.push_back(core.submit(request));
  for (EventStream& stream : streams) {
    while (stream.next()) continue;
  }
  fmt::print("{:<58} {:8.1f} us\n", name, median(gaps));
}

void run(int n, int n_threads) {
  const SamplingParams qwen{.temperature = 0.6, .top_k = 20, .top_p = 0.95};
  SamplingParams penalised = qwen;
  penalised.presence_penalty = 1.5;
  penalised.repetition_penalty = 1.05;
  SamplingParams logprobs = qwen;
  logprobs.n_logprobs = 20;
  bench_sampler("sample greedy", {}, 100, n);
  bench_sampler("sample temperature 0.6, top_k 20, top_p 0.95", qwen, 100, n);
  bench_sampler("  with penalties, 4096 tokens", penalised, 4096, n);
  bench_sampler("  with penalties, 40960 tokens", penalised, 40960, n);
  bench_sampler("  with 20 logprobs", logprobs, 100, n);
  bench_sampler("sample temperature 0.6, min_p 0.05", {.temperature = 0.6, .min_p = 0.05}, 100, n);
  bench_sampler("sample temperature 1, top_p 0.95", {.temperature = 1, .top_p = 0.95}, 100, n);
  bench_sampler("sample temperature 1", {.temperature = 1}, 100, n);
  bench_sampler("sample temperature 100, top_p 0.95 (worst case)",
                {.temperature = 100, .top_p = 0.95},
                100,
                std::min(n, 20));
  bench_steps("engine step, 1 sequence, callback", 1, 64, false, n);
  bench_steps("engine step, 1 sequence, callback, 32768 tokens", 1, 32768, false, n);
  bench_steps("engine step, 1 sequence, stream", 1, 64, true, n);
  bench_steps("engine step, 64 sequences, callback", 64, 64, false, n);
  fmt::print(
      "between two passes, 16 sequences, {} thread{}\n", n_threads, n_threads > 1 ? "s" : "");
  bench_between_passes("  greedy", {}, n_threads, n);
  bench_between_passes("  temperature 0.6, top_k 20, top_p 0.95", qwen, n_threads, n);
  bench_between_passes("  with 20 logprobs", logprobs, n_threads, n);
}

}  // namespace
}  // namespace qwen3

int main(int argc, char** argv) {
  int n = 200, n_threads = qwen3::cpu_info().n_cores;
  if (argc > 1) std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), n);
  if (argc > 2) std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), n_threads);
  qwen3::run(std::max(n, 2), std::max(n_threads, 1));
}
