// Requests over a real engine: clients that leave at every moment, full queues, deadlines, the end
// of the service. The model is a mock whose answers depend on the whole prefix.
#include <deque>
#include <random>
#include <thread>

#include "engine/engine_core.h"
#include "engine/mock_model.h"
#include "server/api/fixture.h"

namespace qwen3::server {
namespace {

constexpr int64_t kBlocks = 96;
constexpr int64_t kBlockSize = 16;

class ApiLifecycle : public ApiTest {
 protected:
  void SetUp() override {}
  // The engine's thread looks at the knobs until the service is gone.
  void TearDown() override {
    routes.clear();
    service.reset();
  }

  void start(const ServiceOptions& options, int64_t max_waiting = 256, int64_t max_sequences = 4) {
    routes.clear();
    service = std::make_unique<Service>(options);
    CoreOptions core;
    core.scheduler.n_blocks = kBlocks;
    core.scheduler.block_size = kBlockSize;
    core.scheduler.max_batch_tokens = 64;
    core.scheduler.max_sequences = max_sequences;
    core.limits = {.n_real_tokens = 2560, .max_model_len = 512};
    core.max_waiting = max_waiting;
    core.check_every_step = true;
    service->set_model(
        make_model(std::make_unique<EngineGenerator<EngineCore>>(
                       std::make_unique<MockModel>(kBlocks, kBlockSize, 2560, knobs), core),
                   Task::generate));
    routes = make_routes(*service);
  }

  EngineStats stats() const { return service->model().generator->stats(); }

  // Waits until nothing runs; every block must be free then.
  void expect_idle() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    EngineStats now = stats();
    while (now.n_running + now.n_waiting > 0 || now.n_free_blocks != now.n_blocks) {
      ASSERT_LT(std::chrono::steady_clock::now(), end)
          << now.n_running << " running, " << now.n_waiting << " waiting, " << now.n_free_blocks
          << " of " << now.n_blocks << " blocks free";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      now = stats();
    }
    EXPECT_EQ(now.n_blocks, kBlocks);
  }

  MockModel::Knobs knobs;
};

std::string body_of(int64_t seed, bool stream, int64_t n, const std::string& text) {
  return Json{{"messages", {{{"role", "user"}, {"content", text}}}},
              {"seed", seed},
              {"n", n},
              {"stream", stream},
              {"temperature", 1},
              {"max_tokens", 24},
              {"ignore_eos", true}}
      .dump();
}

// The part of an answer that must not depend on company: choices without ids and times.
std::string essence(const FakeExchange& exchange, bool stream, int64_t n) {
  const Reply reply = read_reply(exchange);
  EXPECT_EQ(reply.status, 200) << reply.text;
  std::string out;
  for (int64_t i = 0; i < n; ++i) {
    const Joined one = stream ? join_chunks(reply.chunks, i) : join_whole(reply.json, i);
    out += one.reasoning + "|" + one.content + "|" + one.finish_reason + "\n";
  }
  return out;
}

// Twelve clients at a time over four places; some leave at a random moment: queued, in prefill,
// while tokens come, at the end. Those who stay get what they would get alone, and no block is
// lost.
TEST_F(ApiLifecycle, LeavingFreesEverythingAndDisturbsNobody) {
  start({.model_names = {"mock"}});
  std::mt19937 random(3);
  struct Flight {
    std::shared_ptr<FakeExchange> exchange;
    int64_t kind;
    int patience;  // turns until the client leaves; -1: stays
  };
  const auto stream_of = [](int64_t kind) { return kind % 2 == 1; };
  const auto n_of = [](int64_t kind) { return 1 + kind % 3; };
  const auto text_of = [](int64_t kind) {
    return kind % 4 == 3 ? std::string(static_cast<size_t>(40 + 25 * kind), 'q')
                         : std::string("Hi");
  };
  const auto launch = [&](int64_t kind) {
    return begin(
        "POST", "/v1/chat/completions", body_of(kind, stream_of(kind), n_of(kind), text_of(kind)));
  };
  std::vector<std::string> alone;
  for (int64_t kind = 0; kind < 12; ++kind) {
    const auto exchange = launch(kind);
    ASSERT_TRUE(exchange->run());
    alone.push_back(essence(*exchange, stream_of(kind), n_of(kind)));
  }
  expect_idle();

  std::deque<Flight> flights;
  int n_left = 0, n_answered = 0;
  for (int round = 0; round < 900 || !flights.empty(); ++round) {
    while (round < 900 && flights.size() < 12) {
      const auto kind = static_cast<int64_t>(random() % 12);
      const bool leaves = random() % 3 != 0;
      flights.push_back({launch(kind), kind, leaves ? static_cast<int>(random() % 6) : -1});
    }
    Flight flight = std::move(flights.front());
    flights.pop_front();
    if (flight.patience == 0) {
      flight.exchange->disconnect();
      ++n_left;
      continue;
    }
    flight.exchange->run_one(std::chrono::seconds(flight.patience < 0 ? 30 : 0));
    if (flight.exchange->answered()) {
      EXPECT_EQ(essence(*flight.exchange, stream_of(flight.kind), n_of(flight.kind)),
                alone[static_cast<size_t>(flight.kind)]);
      ++n_answered;
      continue;
    }
    if (flight.patience > 0) --flight.patience;
    flights.push_back(std::move(flight));
  }
  EXPECT_GT(n_left, 20);
  EXPECT_GT(n_answered, 20);
  expect_idle();
  EXPECT_EQ(service->n_active(), 0);
}

TEST_F(ApiLifecycle, AFullQueueIsSaidAtOnceAndForgotten) {
  start({.model_names = {"mock"}}, 2, 1);
  knobs.sleep_us = 2000;
  std::vector<std::shared_ptr<FakeExchange>> held;
  int n_busy = 0;
  for (int i = 0; i < 10; ++i) {
    held.push_back(begin("POST", "/v1/chat/completions", body_of(i, i % 2 == 1, 1, "Hi")));
    held.back()->run_one();  // launches
    if (held.back()->answered()) {
      const Reply reply = read_reply(*held.back());
      EXPECT_EQ(reply.status, 429) << reply.text;
      EXPECT_EQ(reply.headers.at(0).first, "Retry-After");
      ++n_busy;
      held.pop_back();
    }
  }
  EXPECT_GE(n_busy, 5);
  for (const auto& exchange : held) EXPECT_TRUE(exchange->run());
  expect_idle();
  // More choices than the queue takes: refused as a whole, nothing stays behind.
  const auto many = begin("POST", "/v1/chat/completions", body_of(1, false, 8, "Hi"));
  EXPECT_TRUE(many->run());
  EXPECT_TRUE(read_reply(*many).status == 200 || read_reply(*many).status == 429);
  // A batch waits for places of its own.
  const Reply batch =
      post("/v1/completions", {{"prompt", {"a", "b", "c", "d", "e", "f"}}, {"max_tokens", 2}});
  EXPECT_EQ(batch.status, 200) << batch.text;
  EXPECT_EQ(batch.json["choices"].size(), 6u);
  expect_idle();
}

TEST_F(ApiLifecycle, DeadlinesEndRequests) {
  start({.model_names = {"mock"}, .request_timeout = std::chrono::seconds(0)});
  const Reply whole = call("POST", "/v1/chat/completions", body_of(1, false, 2, "Hi"));
  EXPECT_EQ(whole.status, 408);
  const Reply streamed = call("POST", "/v1/chat/completions", body_of(1, true, 2, "Hi"));
  ASSERT_FALSE(streamed.chunks.empty());
  EXPECT_EQ(streamed.chunks.back()["error"]["code"], "request_timeout");
  EXPECT_TRUE(streamed.done);
  expect_idle();
}

TEST_F(ApiLifecycle, AbortTellsEveryone) {
  start({.model_names = {"mock"}});
  knobs.sleep_us = 1000;
  std::vector<std::shared_ptr<FakeExchange>> all;
  for (int i = 0; i < 6; ++i) {
    all.push_back(begin("POST", "/v1/chat/completions", body_of(i, i % 2 == 1, 1, "Hi")));
    all.back()->run_one();
  }
  EXPECT_EQ(service->n_active(), 6);
  service->drain();
  EXPECT_EQ(call("POST", "/v1/chat/completions", body_of(1, false, 1, "Hi")).status, 503);
  service->abort_all(ApiError(503, "draining", "the server is shutting down"));
  for (const auto& exchange : all) {
    ASSERT_TRUE(exchange->run());
    const Reply reply = read_reply(*exchange);
    if (reply.chunks.empty()) {
      EXPECT_EQ(reply.status, 503);
    } else {
      EXPECT_EQ(reply.chunks.back()["error"]["code"], "draining");
      EXPECT_TRUE(reply.done);
    }
  }
  EXPECT_EQ(service->n_active(), 0);
}

TEST_F(ApiLifecycle, AFailingStepIsOurFaultAndNotTheEnd) {
  start({.model_names = {"mock"}});
  knobs.fail_kind = static_cast<int>(ErrorKind::corrupt_file);
  knobs.fail_at = 0;
  EXPECT_EQ(call("POST", "/v1/chat/completions", body_of(1, false, 1, "Hi")).status, 500);
  knobs.fail_kind = static_cast<int>(ErrorKind::out_of_memory);
  knobs.fail_at = 1;
  EXPECT_EQ(call("POST", "/v1/chat/completions", body_of(1, false, 1, "Hi")).status, 503);
  EXPECT_EQ(call("POST", "/v1/chat/completions", body_of(1, false, 1, "Hi")).status, 200);
  expect_idle();
}

// The thinking budget and the forced call through the engine's own logits processor.
TEST_F(ApiLifecycle, SteeringWorksInTheEngine) {
  start({.model_names = {"mock"}});
  const Json named{{"type", "function"}, {"function", {{"name", "get_weather"}}}};
  const Reply reply = chat({{"tools", weather_tools()},
                            {"tool_choice", named},
                            {"max_tokens", 40},
                            {"model", "mock"},
                            {"return_token_ids", true},
                            {"seed", 1}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  const auto ids = reply.json["choices"][0]["token_ids"].get<std::vector<int32_t>>();
  EXPECT_TRUE(nano_text().decode(ids).starts_with(
      "<tool_call>\n{\"name\": \"get_weather\", \"arguments\":"))
      << nano_text().decode(ids);
}

}  // namespace
}  // namespace qwen3::server
