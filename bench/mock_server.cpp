// mock_server: `qwen3 serve` with everything real but the model: the HTTP front, the API, tokenizer
// and templates, scheduler, KV blocks, prefix cache and sampler; only the forward pass is a hash
// that takes a set time. For measuring the server on a small machine, with a load that a model
// would not allow there.
//
//   mock_server MODEL_DIRECTORY [--port 0] [--step-us 10000] ...      --help lists the rest
//
// It says the same tokens for the same prompt, and others as soon as one key of the sequence is in
// a wrong place. GET /mock tells, beside /metrics, what only the inside knows:
//   cpu: processor seconds of the process, of the engine's thread, and of the mock model in it
//   connections_open, exchanges_open, disconnects: of the front
//   cancelled: since the last call, [seed, when cancel() was called, when its blocks were free]
//     of every request cancelled in the meantime; CLOCK_MONOTONIC, nanoseconds
//   finished: likewise [seed, when it ended] of those that ended otherwise
// Faults that the drivers must report when they are seeded: --lose-cancels, --keep-bytes,
// --wrong-tokens.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mix64.h"
#include "engine/engine_core.h"
#include "server/api/api.h"
#include "server/api/served_model.h"
#include "server/api/service.h"
#include "server/http/http_server.h"

namespace {

using namespace qwen3;
using namespace qwen3::server;

struct MockOptions {
  std::string directory;
  int64_t port = 0;
  int64_t step_us = 10'000;
  int64_t context = 8192;
  int64_t n_blocks = 4096;
  int64_t block_size = 32;
  int64_t max_batch_tokens = 512;
  int64_t max_sequences = 64;
  int64_t max_waiting = 256;
  int64_t max_waiting_tokens = 0;
  int64_t connections = 4096;
  int64_t lose_cancels = 0;
  int64_t keep_bytes = 0;
  int64_t wrong_tokens = 0;
};

int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

double clock_seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Processor time of the engine's thread, readable from any other.
struct EngineClock {
  std::atomic<clockid_t> thread{CLOCK_PROCESS_CPUTIME_ID};
  std::atomic<bool> known = false;
  std::atomic<double> in_model = 0;  // written by the engine's thread only

  double seconds() const { return known ? clock_seconds(thread) : 0; }
};

// A "key" is the hash of the whole prefix, found through the block table of the step.
class MockRunner final : public ModelRunner {
 public:
  MockRunner(const MockOptions& options,
             std::vector<int32_t> words,
             int64_t vocab_size,
             EngineClock& clock)
      : step_(options.step_us),
        block_size_(options.block_size),
        wrong_tokens_(options.wrong_tokens),
        vocab_size_(static_cast<size_t>(vocab_size)),
        words_(std::move(words)),
        clock_(clock),
        keys_(static_cast<size_t>(options.n_blocks * options.block_size)) {}

  int64_t vocab_size() const override { return static_cast<int64_t>(vocab_size_); }

  Tensor run(const Batch& batch, Tap* /*tap*/) override {
    if (!clock_.known) {
      clockid_t id{};
      pthread_getcpuclockid(pthread_self(), &id);
      clock_.thread = id;
      clock_.known = true;
    }
    const auto end = std::chrono::steady_clock::now() + step_;
    const double begin_cpu = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    logits_.assign(batch.logit_rows.size() * vocab_size_, 0.0f);
    size_t logit_row = 0;
    for (int64_t s = 0; s < batch.n_seqs(); ++s) {
      run_sequence(batch, static_cast<size_t>(s), logit_row);
    }
    if (step_.count() > 0) std::this_thread::sleep_until(end);
    clock_.in_model = clock_.in_model + clock_seconds(CLOCK_THREAD_CPUTIME_ID) - begin_cpu;
    return Tensor::view(logits_, {static_cast<int64_t>(batch.logit_rows.size()), vocab_size()});
  }

 private:
  void run_sequence(const Batch& batch, size_t s, size_t& logit_row) {
    const int32_t* table =
        batch.block_tables.data() + static_cast<int64_t>(s) * batch.max_blocks_per_seq;
    const auto key_at = [&](int64_t position) -> uint64_t& {
      return keys_[static_cast<size_t>(table[position / block_size_] * block_size_ +
                                       position % block_size_)];
    };
    for (int32_t row = batch.cu_seqlens_q[s]; row < batch.cu_seqlens_q[s + 1]; ++row) {
      const auto r = static_cast<size_t>(row);
      const int64_t position = batch.positions[r];
      const uint64_t before = position == 0 ? 0 : key_at(position - 1);
      const uint64_t key = mix64(before ^ (static_cast<uint64_t>(batch.token_ids[r]) + 1));
      keys_[static_cast<size_t>(batch.slot_mapping[r])] = key;
      if (logit_row < batch.logit_rows.size() && batch.logit_rows[logit_row] == row) {
        const bool wrong = wrong_tokens_ > 0 && ++n_tokens_ % wrong_tokens_ == 0;
        const auto next = static_cast<size_t>(words_[(wrong ? key + 1 : key) % words_.size()]);
        logits_[logit_row * vocab_size_ + next] = 30;
        ++logit_row;
      }
    }
  }

  const std::chrono::microseconds step_;
  const int64_t block_size_, wrong_tokens_;
  const size_t vocab_size_;
  const std::vector<int32_t> words_;
  EngineClock& clock_;
  std::vector<uint64_t> keys_;  // by slot
  std::vector<float> logits_;
  int64_t n_tokens_ = 0;
};

// The engine, with a note of when each cancelled request was cancelled and when it was gone.
class WatchedEngine final : public Generator {
 public:
  struct Departure {
    uint64_t seed;
    int64_t cancelled_ns, freed_ns;
  };
  struct Ends {
    std::vector<Departure> cancelled;
    std::vector<Departure> finished;  // otherwise; cancelled_ns: 0
  };

  WatchedEngine(std::unique_ptr<ModelRunner> runner, CoreOptions core, const MockOptions& options)
      : lose_cancels_(options.lose_cancels),
        keep_bytes_(options.keep_bytes),
        core_(std::move(runner), std::move(core)) {}

  uint64_t submit(Request request, Engine::OnEvent on_event) override {
    const auto watched = std::make_shared<Watched>();
    watched->seed = request.sampling.seed.value_or(0);
    const uint64_t id =
        core_.submit(std::move(request), [this, watched, on_event](const Event& event) {
          if (event.finish) ended(*watched, *event.finish);
          on_event(event);
        });
    const std::lock_guard lock(mutex_);
    watched->id = id;
    if (!watched->ended) running_.emplace(id, watched);
    return id;
  }
  void cancel(uint64_t id) override {
    {
      const std::lock_guard lock(mutex_);
      if (lose_cancels_ > 0 && ++n_cancels_ % lose_cancels_ == 0) return;
      const auto found = running_.find(id);
      if (found != running_.end() && found->second->cancelled_ns == 0) {
        found->second->cancelled_ns = now_ns();
      }
    }
    core_.cancel(id);
  }
  EngineStats stats() const override { return core_.stats(); }
  int64_t max_model_len() const override { return core_.max_model_len(); }

  Ends take_ends() {
    const std::lock_guard lock(mutex_);
    return std::exchange(ends_, {});
  }

 private:
  static constexpr size_t kMostFinished = 100'000;  // nobody may be asking
  struct Watched {
    uint64_t id = 0, seed = 0;
    int64_t cancelled_ns = 0;
    bool ended = false;
  };

  // The statistics of the step are published before its events: its blocks are free by now.
  void ended(Watched& watched, FinishReason reason) {
    const std::lock_guard lock(mutex_);
    watched.ended = true;
    running_.erase(watched.id);
    if (keep_bytes_ > 0) kept_.emplace_back(static_cast<size_t>(keep_bytes_), 'k');
    if (reason != FinishReason::cancelled) {
      if (ends_.finished.size() < kMostFinished) {
        ends_.finished.push_back({watched.seed, 0, now_ns()});
      }
    } else if (watched.cancelled_ns != 0) {
      ends_.cancelled.push_back({watched.seed, watched.cancelled_ns, now_ns()});
    }
  }

  const int64_t lose_cancels_, keep_bytes_;
  std::mutex mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<Watched>> running_;  // under mutex_
  Ends ends_;                                                       // under mutex_
  int64_t n_cancels_ = 0;                                           // under mutex_
  std::vector<std::string> kept_;                                   // under mutex_
  EngineCore core_;  // last: its thread ends before the rest goes
};

std::string mock_json(const EngineClock& clock,
                      const HttpCounters& front,
                      const WatchedEngine::Ends& ends) {
  std::vector<std::string> cancelled, finished;
  for (const auto& one : ends.cancelled) {
    cancelled.push_back(fmt::format("[{},{},{}]", one.seed, one.cancelled_ns, one.freed_ns));
  }
  for (const auto& one : ends.finished) {
    finished.push_back(fmt::format("[{},{}]", one.seed, one.freed_ns));
  }
  return fmt::format(R"({{"cpu":{{"process":{},"engine":{},"model":{}}},"connections_open":{},)"
                     R"("exchanges_open":{},"disconnects":{},"cancelled":[{}],"finished":[{}]}})",
                     clock_seconds(CLOCK_PROCESS_CPUTIME_ID),
                     clock.seconds(),
                     clock.in_model.load(),
                     front.connections_open,
                     front.exchanges_open,
                     front.disconnects,
                     fmt::join(cancelled, ","),
                     fmt::join(finished, ","));
}

int serve(const MockOptions& options) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  EngineClock clock;
  Text text = Text::load(options.directory);
  const int64_t vocab_size = text.n_tokens();
  std::vector<int32_t> words =
      text.encode("The quick brown fox jumps over the lazy dog, again; \"quoted\" and so on.\n");
  CoreOptions core{
      .scheduler = {.n_blocks = options.n_blocks,
                    .block_size = options.block_size,
                    .max_batch_tokens = options.max_batch_tokens,
                    .max_sequences = options.max_sequences},
      .limits = {.n_real_tokens = vocab_size, .max_model_len = options.context, .has_head = true},
      .max_waiting = options.max_waiting,
      .max_waiting_tokens = options.max_waiting_tokens,
      .eos_token_ids = {}};
  auto engine = std::make_unique<WatchedEngine>(
      std::make_unique<MockRunner>(options, std::move(words), vocab_size, clock),
      std::move(core),
      options);
  WatchedEngine& watched = *engine;

  ServiceOptions service_options{
      .model_names = {"mock", "nano"}, .metrics = true, .version = "mock"};
  Service service(service_options);
  ModelInfo info;
  info.vocab_size = vocab_size;
  service.set_model(make_served_model(
      {.text = std::move(text), .generator = std::move(engine), .info = info}, service_options));

  std::atomic<const HttpServer*> front_pointer = nullptr;
  std::vector<Route> routes = make_routes(service);
  routes.push_back(
      {.method = "GET",
       .path = "/mock",
       .access = Route::Access::open,
       .handler =
           [&](const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
             const HttpServer* front = front_pointer;
             exchange->send(
                 {.body = mock_json(
                      clock, front ? front->counters() : HttpCounters{}, watched.take_ends())});
           },
       .quick = true});
  HttpOptions http;
  http.addresses = {"127.0.0.1"};
  http.port = static_cast<uint16_t>(options.port);
  http.limits.connections = static_cast<int>(options.connections);
  HttpServer front(http, std::move(routes));
  front_pointer = &front;
  fmt::print(stderr, "listening on http://127.0.0.1:{}\n", front.port());

  int signal = 0;
  sigwait(&signals, &signal);
  front.stop(std::chrono::milliseconds(0));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The server over a mock model.");
  MockOptions options;
  app.add_option("directory", options.directory, "Of a tokenizer and its chat template")
      ->required();
  app.add_option("--port", options.port, "0: a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  const auto count = [&](const char* name, int64_t& target, const char* help) {
    app.add_option(name, target, help)
        ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
        ->capture_default_str();
  };
  count("--step-us", options.step_us, "Time of one forward pass, asleep");
  count("--context", options.context, "Tokens of the longest sequence");
  count("--blocks", options.n_blocks, "KV blocks");
  count("--max-batch-tokens", options.max_batch_tokens, "Most tokens of one step");
  count("--max-sequences", options.max_sequences, "Requests that run together");
  count("--max-waiting", options.max_waiting, "Requests that may wait");
  count("--max-waiting-tokens", options.max_waiting_tokens, "Prompt tokens that may wait; 0: any");
  count("--connections", options.connections, "Connections at the same time");
  count("--lose-cancels", options.lose_cancels, "Fault: every Nth cancellation is lost; 0: none");
  count("--wrong-tokens", options.wrong_tokens, "Fault: every Nth token is another one; 0: none");
  count(
      "--keep-bytes", options.keep_bytes, "Fault: of each request, so many bytes are never freed");
  CLI11_PARSE(app, argc, argv);
  try {
    return serve(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "mock_server: {}\n", error.what());
    return 1;
  }
}
