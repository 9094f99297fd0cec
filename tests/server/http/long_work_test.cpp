// Small bodies that stand for much work: they go on in turns of their own, and nobody else waits for them.
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "base/time_slice.h"
#include "server/http/support.h"

namespace qwen3::server {
namespace {

using namespace testing;

// Handlers that take long, until the test lets them go.
struct LongWork {
  std::atomic<bool> open{false};
  std::atomic<int> n_calls{0}, n_running{0};

  // Looks at its slice of time, or not.
  Handler handler(bool looks) {
    return [this, looks](const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
      ++n_calls;
      exchange->note("begun", request.body);
      const Running running(n_running);
      while (!open) {
        if (looks) TimeSlice::check();
      }
      exchange->send({.body = request.body});
    };
  }

 private:
  struct Running {
    explicit Running(std::atomic<int>& n) : n_running(n) { ++n_running; }
    ~Running() { --n_running; }
    std::atomic<int>& n_running;
  };
};

std::vector<Route> routes_of(LongWork& work) {
  std::vector<Route> routes = basic_routes();
  for (const bool looks : {true, false}) {
    routes.push_back({.method = "POST",
                      .path = looks ? "/long" : "/blind",
                      .access = Route::Access::open,
                      .handler = work.handler(looks)});
  }
  routes.push_back({.method = "POST",
                    .path = "/short",
                    .access = Route::Access::open,
                    .handler = [](const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
                      exchange->send({.body = "\"short\""});
                    }});
  return routes;
}

std::vector<RawClient> send_all(uint16_t port, const std::string& path, int n) {
  std::vector<RawClient> clients;
  for (int i = 0; i < n; ++i) {
    clients.emplace_back(port);
    clients.back().send(post(port, path, std::to_string(i)));
  }
  return clients;
}

TEST(LongWork, OfSmallBodiesKeepsNobodyWaiting) {
  LongWork work;
  LogRecorder log;
  HttpOptions options = test_options();
  options.access_log = log.sink();
  options.worker_threads = 2;
  HttpServer server(options, routes_of(work));
  auto clients = send_all(server.port(), "/long", 8);
  ASSERT_TRUE(wait_for([&] { return work.n_calls >= 8; }));
  for (int i = 0; i < 20; ++i) {
    RawClient other(server.port());
    other.send(post(server.port(), "/short", "1"));
    const auto answer = other.answer();
    ASSERT_TRUE(answer) << "it waits for work that takes long";
    EXPECT_EQ(answer->status, 200);
  }
  EXPECT_LE(work.n_running, 1);
  work.open = true;
  for (size_t i = 0; i < clients.size(); ++i) {
    const auto answer = clients[i].answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, std::to_string(i));
  }
  // What the first turn noted is not said twice.
  ASSERT_TRUE(wait_for([&] { return log.lines().size() == 28; }));
  for (const std::string& line : log.lines()) {
    EXPECT_EQ(line.find("\"begun\""), line.rfind("\"begun\"")) << line;
  }
}

// The control: work that does not look at its time keeps everybody waiting.
TEST(LongWork, ThatDoesNotLookAtItsTimeIsSeen) {
  LongWork work;
  HttpOptions options = test_options();
  options.worker_threads = 2;
  HttpServer server(options, routes_of(work));
  auto clients = send_all(server.port(), "/blind", 2);
  ASSERT_TRUE(wait_for([&] { return work.n_running == 2; }));
  RawClient other(server.port());
  other.send(post(server.port(), "/short", "1"));
  EXPECT_FALSE(other.receive(200ms));
  work.open = true;
  EXPECT_TRUE(other.answer());
}

// An answer that has begun cannot begin anew.
TEST(LongWork, AfterTheAnswerBeganEndsIt) {
  HttpOptions options = test_options();
  std::atomic<int> n_calls{0};
  HttpServer server(options,
                    routes_with([&](const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
                      if (++n_calls > 1) return exchange->send({.body = "2"});
                      exchange->start_stream();
                      exchange->write("data: 1\n\n");
                      while (true) TimeSlice::check();
                    }));
  RawClient client(server.port());
  client.send(post(server.port(), "/v1/stream", "1", "Connection: close\r\n"));
  EXPECT_TRUE(client.receive_all());
  EXPECT_NE(client.received().find("internal_error"), std::string::npos);
  EXPECT_EQ(n_calls, 1);
}

// Those that wait for their turn when the server stops are answered, or closed, and nothing hangs.
TEST(LongWork, EndsWithTheServer) {
  LongWork work;
  HttpOptions options = test_options();
  options.worker_threads = 2;
  HttpServer server(options, routes_of(work));
  auto clients = send_all(server.port(), "/long", 8);
  ASSERT_TRUE(wait_for([&] { return work.n_calls >= 9; }));
  std::thread later([&] {
    std::this_thread::sleep_for(100ms);
    work.open = true;
  });
  server.stop(0ms);
  later.join();
  for (RawClient& client : clients) EXPECT_TRUE(client.receive_all());
}

}  // namespace
}  // namespace qwen3::server
