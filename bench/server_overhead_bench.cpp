// What the API costs beside the model: requests over an engine that answers at once, so that all
// time is request reading, text work, JSON and events. One thread does everything, and its
// processor time counts. bench/server_overhead.py measures the whole server, with its sockets.
//
//   server_overhead_bench MODEL_DIRECTORY [N_TOKENS]
//
// Ends with exit code 1 when an answer costs more than 20 us a token.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/mix64.h"
#include "cli/numbers.h"
#include "server/api/api.h"
#include "server/api/served_model.h"
#include "server/api/service.h"

namespace {

using namespace qwen3;
using namespace qwen3::server;

// Says its tokens one after another, a post for each, as an engine does that is waited for.
class InstantGenerator final : public Generator {
 public:
  std::vector<int32_t> ids;
  std::function<void()> between;  // after every event
  bool cancelled = false;         // the answer did not take all tokens

  uint64_t submit(Request request, Engine::OnEvent on_event) override {
    for (size_t i = 0; i < ids.size(); ++i) {
      Event event;
      event.token_id = ids[i];
      if (request.sampling.n_logprobs >= 0) {
        event.logprob = {ids[i], -0.5f};
        for (int k = 0; k < request.sampling.n_logprobs; ++k) {
          event.top_logprobs.push_back({ids[(i + static_cast<size_t>(k)) % ids.size()], -1.5f});
        }
      }
      if (i + 1 == ids.size()) event.finish = FinishReason::length;
      queue_.push_back({on_event, event});
    }
    return 1;
  }
  void deliver() {
    while (!queue_.empty()) {
      const auto [on_event, event] = std::move(queue_.front());
      queue_.pop_front();
      on_event(event);
      between();
    }
  }
  void cancel(uint64_t) override { cancelled = true; }
  EngineStats stats() const override { return {}; }
  int64_t max_model_len() const override { return 1 << 20; }

 private:
  std::deque<std::pair<Engine::OnEvent, Event>> queue_;
};

class CountingExchange final : public Exchange {
 public:
  size_t n_bytes = 0;
  bool over = false;
  std::deque<std::function<void()>> work;

  void send(HttpResponse response) override {
    n_bytes += response.body.size();
    over = true;
  }
  void start_stream(StreamForm) override {}
  void write(std::string piece) override { n_bytes += piece.size(); }
  void end() override { over = true; }
  void post(std::function<void()> one) override { work.push_back(std::move(one)); }
  void on_disconnect(std::function<void()>) override {}
  bool gone() const override { return false; }
  bool hold(int64_t) override { return true; }
  void note(std::string, NoteValue) override {}
  void run() {
    while (!work.empty()) {
      const auto one = std::move(work.front());
      work.pop_front();
      one();
    }
  }
};

constexpr double kMostMicroseconds = 20;

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// False when the answer was too dear, or not complete.
bool measure(const std::vector<Route>& routes,
             InstantGenerator& generator,
             const char* name,
             const std::string& body) {
  HttpRequest http;
  http.method = "POST";
  http.path = "/v1/chat/completions";
  http.body = body;
  http.id = "req-0123456789ab-00000001";
  http.received = std::chrono::steady_clock::now();
  double best = 1e9;
  size_t n_bytes = 0;
  for (int round = 0; round < 5; ++round) {
    const auto exchange = std::make_shared<CountingExchange>();
    const double begin = processor_seconds();
    for (const Route& route : routes) {
      if (route.path == http.path) route.handler(http, exchange);
    }
    exchange->run();
    generator.between = [&] { exchange->run(); };
    generator.deliver();
    best = std::min(best, processor_seconds() - begin);
    n_bytes = exchange->n_bytes;
    if (!exchange->over || generator.cancelled) {
      fmt::print("FAIL {}: the answer is not complete\n", name);
      return false;
    }
  }
  const auto n = static_cast<double>(generator.ids.size());
  const double microseconds = 1e6 * best / n;
  const bool passed = microseconds <= kMostMicroseconds;
  fmt::print("{} {:<28} {:>6.2f} us/token (bar <= {}) {:>8.1f} bytes/token\n",
             passed ? "PASS" : "FAIL",
             name,
             microseconds,
             kMostMicroseconds,
             static_cast<double>(n_bytes) / n);
  return passed;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: server_overhead_bench MODEL_DIRECTORY [N_TOKENS]\n");
    return 2;
  }
  const int64_t n_tokens = argc > 2 ? cli::parse_integer(argv[2]).value_or(20'000) : 20'000;
  ServiceOptions options{.model_names = {"bench"}};
  Service service(options);
  auto instant = std::make_unique<InstantGenerator>();
  InstantGenerator& generator = *instant;
  Text text = Text::load(argv[1]);
  const std::vector<int32_t> words =
      text.encode("The quick brown fox jumps over the lazy dog, again; \"quoted\" and so on.\n");
  for (int64_t i = 0; i < n_tokens; ++i) {
    generator.ids.push_back(words[mix64(static_cast<uint64_t>(i)) % words.size()]);
  }
  ModelInfo info;
  info.vocab_size = text.n_tokens();
  service.set_model(make_served_model(
      {.text = std::move(text), .generator = std::move(instant), .info = info}, options));
  const std::vector<Route> routes = make_routes(service);
  const std::string messages = R"("messages":[{"role":"user","content":"Hi"}],"loop_guard":)";
  const std::string stop = R"(,"stop":["never","at all"])";
  const std::string tools =
      R"(,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}])";
  const struct {
    const char* name;
    std::string body;
  } kinds[] = {
      {"whole answer", "{" + messages + "true}"},
      {"stream", "{\"stream\":true," + messages + "true}"},
      {"stream, no loop guard", "{\"stream\":true," + messages + "false}"},
      {"stream, stops and tools", "{\"stream\":true," + messages + "true" + stop + tools + "}"},
      {"stream, 5 logprobs",
       "{\"stream\":true,\"logprobs\":true,\"top_logprobs\":5," + messages + "true}"}};
  bool passed = true;
  for (const auto& kind : kinds) {
    passed = measure(routes, generator, kind.name, kind.body) && passed;
  }
  return passed ? 0 : 1;
}
