// Streams: order, pings, limits, clients that leave, and the end of the server.
#include <gtest/gtest.h>

#include <array>
#include <future>
#include <set>

#include "base/json.h"
#include "server/http/http_server.h"
#include "server/http/support.h"

namespace qwen3::server {
namespace {

using namespace testing;

// Keeps the exchanges of its requests for the test to play the engine.
class Stage {
 public:
  Handler handler() {
    return [this](const HttpRequest&, std::shared_ptr<Exchange> exchange) {
      {
        const std::lock_guard lock(mutex_);
        exchanges_.push_back(std::move(exchange));
      }
      arrived_.notify_all();
    };
  }
  // Waits for the next exchange.
  std::shared_ptr<Exchange> next() {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, kPatience, [this] { return !exchanges_.empty(); })) return nullptr;
    auto exchange = exchanges_.back();
    exchanges_.pop_back();
    return exchange;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<std::shared_ptr<Exchange>> exchanges_;
};

// The events of a stream without comments.
std::vector<std::string> events_of(const std::string& body) {
  std::vector<std::string> out;
  size_t start = 0;
  while (true) {
    const size_t end = body.find("\n\n", start);
    if (end == std::string::npos) return out;
    const std::string event = body.substr(start, end - start);
    if (!event.starts_with(":")) out.push_back(event);
    start = end + 2;
  }
}

TEST(HttpStream, ArrivesPieceByPiece) {
  Stage stage;
  HttpServer server(test_options(), routes_with(stage.handler()));
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  const auto exchange = stage.next();
  exchange->start_stream();
  ASSERT_TRUE(client.receive_until("\r\n\r\n")) << "the head does not wait for the first piece";
  exchange->write("data: one\n\n");
  ASSERT_TRUE(client.receive_until("data: one\n\n"));
  exchange->write("");
  exchange->write("data: two\n\n");
  ASSERT_TRUE(client.receive_until("data: two\n\n"));
  exchange->end();
  const auto answer = client.answer();
  EXPECT_TRUE(answer->complete);
  EXPECT_EQ(answer->header("content-type"), "text/event-stream");
  EXPECT_EQ(answer->body, "data: one\n\ndata: two\n\n");
  client.send(get(server.port(), "/health"));
  EXPECT_EQ(client.answer()->status, 200) << "the connection goes on";
}

TEST(HttpStream, ForOldClientsEndsWithTheConnection) {
  Stage stage;
  HttpServer server(test_options(), routes_with(stage.handler()));
  RawClient client(server.port());
  client.send("GET /v1/stream HTTP/1.0\r\n" + host_line(server.port()) +
              "Connection: keep-alive\r\n\r\n");
  const auto exchange = stage.next();
  exchange->start_stream();
  exchange->write("data: one\n\n");
  exchange->end();
  const auto answer = client.answer();
  EXPECT_EQ(answer->header("transfer-encoding"), "");
  EXPECT_EQ(answer->header("connection"), "close");
  EXPECT_EQ(answer->body, "data: one\n\n");
}

// The ids of a long prompt are one piece, and the first token follows before anybody can have read
// them.
TEST(HttpStream, APieceLargerThanTheLimitIsNotTheEndOfTheNext) {
  Stage stage;
  HttpOptions options = test_options();
  options.limits.output_bytes = 4096;
  HttpServer server(options, routes_with(stage.handler()));
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  const auto exchange = stage.next();
  exchange->start_stream();
  const std::string large(24 << 20, 'x');  // more than the kernel buffers
  exchange->write("data: " + large + "\n\n");
  exchange->write("data: next\n\n");
  exchange->end();
  const auto answer = client.answer();
  ASSERT_TRUE(answer && answer->complete);
  EXPECT_EQ(answer->body.size(), large.size() + 8 + 12);
}

TEST(HttpStream, SmallPiecesAfterALargeOneStillEndAtTheLimit) {
  Stage stage;
  HttpOptions options = test_options();
  options.limits.output_bytes = 4096;
  HttpServer server(options, routes_with(stage.handler()));
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  const auto exchange = stage.next();
  exchange->start_stream();
  exchange->write("data: " + std::string(24 << 20, 'x') + "\n\n");
  for (int i = 0; i < 10'000'000 && !exchange->gone(); ++i) {
    exchange->write("data: " + std::string(1000, 'y') + "\n\n");
  }
  EXPECT_TRUE(exchange->gone());
}

TEST(HttpStream, KeepsTheOrderOfEachThread) {
  constexpr int kThreads = 4;
  constexpr int kStreams = 8;
  constexpr int kPieces = 500;
  Stage stage;
  HttpOptions options = test_options();
  options.limits.output_bytes = 16 << 20;
  HttpServer server(options, routes_with(stage.handler()));
  std::vector<RawClient> clients;
  std::vector<std::shared_ptr<Exchange>> exchanges;
  for (int i = 0; i < kStreams; ++i) {
    clients.emplace_back(server.port());
    clients.back().send(get(server.port(), "/v1/stream"));
    exchanges.push_back(stage.next());
    exchanges.back()->start_stream();
    exchanges.back()->write("data: stream " + std::to_string(i) + "\n\n");
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int n = 0; n < kPieces; ++n) {
        for (int i = 0; i < kStreams; ++i) {
          exchanges[static_cast<size_t>(i)]->write("data: " + std::to_string(i) + " " +
                                                   std::to_string(t) + " " + std::to_string(n) +
                                                   "\n\n");
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& exchange : exchanges) exchange->end();
  for (int i = 0; i < kStreams; ++i) {
    const auto answer = clients[static_cast<size_t>(i)].answer();
    ASSERT_TRUE(answer && answer->complete);
    const auto events = events_of(answer->body);
    ASSERT_EQ(events.size(), size_t{1 + kThreads * kPieces});
    std::array<int, kThreads> next{};
    for (size_t n = 1; n < events.size(); ++n) {
      int stream = 0, thread = 0, number = 0;
      ASSERT_EQ(std::sscanf(events[n].c_str(), "data: %d %d %d", &stream, &thread, &number), 3);
      EXPECT_EQ(stream, i);
      EXPECT_EQ(number, next[static_cast<size_t>(thread)]++);
    }
  }
}

TEST(HttpStream, PingsWhenSilentButNotInsideAnEvent) {
  Stage stage;
  HttpOptions options = test_options();
  options.limits.ping_interval = 30ms;
  HttpServer server(options, routes_with(stage.handler()));
  {
    RawClient client(server.port());
    client.send(get(server.port(), "/v1/stream"));
    const auto exchange = stage.next();
    exchange->start_stream();
    ASSERT_TRUE(client.receive_until(": ping\n\n"));
    exchange->write("data: half");
    std::this_thread::sleep_for(200ms);
    exchange->write(" whole\n\n");
    exchange->end();
    const auto answer = client.answer();
    EXPECT_NE(answer->body.find("data: half whole\n\n"), std::string::npos) << answer->body;
  }
  {
    RawClient client(server.port());
    client.send(get(server.port(), "/v1/stream"));
    const auto exchange = stage.next();
    exchange->start_stream({.content_type = "application/octet-stream"});
    exchange->write("a\n\n");
    std::this_thread::sleep_for(200ms);
    exchange->end();
    EXPECT_EQ(client.answer()->body, "a\n\n");
  }
}

// Counts how often the disconnect action ran and lets a test wait for it.
struct Departure {
  std::atomic<int> count{0};
  std::function<void()> action() {
    return [this] { ++count; };
  }
  bool seen() {
    return wait_for([this] { return count > 0; });
  }
};

TEST(HttpStream, TellsWhenTheClientLeaves) {
  Stage stage;
  HttpServer server(test_options(), routes_with(stage.handler()));
  const std::function<void(RawClient&)> ways[] = {
      [](RawClient& client) { client.close(); },
      [](RawClient& client) { client.reset(); },
      [](RawClient& client) { client.half_close(); },
  };
  for (const auto& leave : ways) {
    for (const bool streaming : {false, true}) {
      Departure departure;
      RawClient client(server.port());
      client.send(post(server.port(), "/v1/stream", "{}"));
      const auto exchange = stage.next();
      exchange->on_disconnect(departure.action());
      if (streaming) {
        exchange->start_stream();
        ASSERT_TRUE(client.receive_until("\r\n\r\n"));
      }
      EXPECT_FALSE(exchange->gone());
      leave(client);
      EXPECT_TRUE(departure.seen());
      EXPECT_TRUE(exchange->gone());
      exchange->write("data: nobody\n\n");
      exchange->end();
      exchange->post([] { FAIL() << "posted to an exchange that is over"; });
      Departure late;
      exchange->on_disconnect(late.action());
      EXPECT_EQ(late.count, 1) << "at once";
      EXPECT_EQ(departure.count, 1);
    }
  }
  EXPECT_TRUE(wait_for([&] { return server.counters().exchanges_open == 0; }));
  EXPECT_TRUE(wait_for([&] { return server.counters().connections_open == 0; }));
  EXPECT_EQ(server.counters().disconnects, 6);
}

TEST(HttpStream, AHalfClosedClientStillGetsAnAnswerInOnePiece) {
  Stage stage;
  HttpServer server(test_options(), routes_with(stage.handler()));
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  client.half_close();
  const auto exchange = stage.next();
  ASSERT_TRUE(wait_for([&] { return exchange->gone(); }));
  exchange->send({.body = "late"});
  EXPECT_EQ(client.answer()->body, "late");
  EXPECT_TRUE(client.receive_all());

  RawClient health(server.port());
  health.send(get(server.port(), "/health"));
  health.half_close();
  EXPECT_EQ(health.answer()->status, 200);
}

TEST(HttpStream, ACompleteAnswerIsNoDeparture) {
  Stage stage;
  HttpServer server(test_options(), routes_with(stage.handler()));
  Departure departure;
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  const auto exchange = stage.next();
  exchange->on_disconnect(departure.action());
  exchange->send({.body = "done"});
  EXPECT_EQ(client.answer()->body, "done");
  client.close();
  EXPECT_TRUE(wait_for([&] { return server.counters().connections_open == 0; }));
  EXPECT_EQ(departure.count, 0);
}

TEST(HttpStream, NoticesADepartureBehindPipelinedRequests) {
  Stage stage;
  HttpOptions options = test_options();
  options.limits.pipelined_bytes = 4096;
  HttpServer server(options, routes_with(stage.handler()));
  Departure departure;
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  const auto exchange = stage.next();
  exchange->on_disconnect(departure.action());
  exchange->start_stream();
  // More than is read ahead, so the end of the stream is not reached by reading.
  std::string flood;
  while (flood.size() < 256 * 1024) flood += get(server.port(), "/health");
  client.send(flood);
  client.reset();
  EXPECT_TRUE(departure.seen());
}

TEST(HttpStream, CutsAClientThatDoesNotRead) {
  Stage stage;
  LogRecorder log;
  HttpOptions options = test_options();
  options.access_log = log.sink();
  HttpServer server(options, routes_with(stage.handler()));
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  const auto exchange = stage.next();
  Departure departure;
  exchange->on_disconnect(departure.action());
  exchange->start_stream();
  const std::string piece = "data: " + std::string(8192, 'x') + "\n\n";
  // The kernel holds some megabytes for a client; the server no more than its limit.
  for (int i = 0; i < 20000 && !exchange->gone(); ++i) exchange->write(piece);
  EXPECT_TRUE(departure.seen());
  ASSERT_TRUE(wait_for([&] { return log.lines().size() == 1; }));
  EXPECT_NE(log.lines()[0].find("\"outcome\":\"cut off\""), std::string::npos);
}

TEST(HttpStream, CutsAClientThatStallsTheLastBytes) {
  HttpOptions options = test_options();
  options.limits.write_stall = 100ms;
  LogRecorder log;
  options.access_log = log.sink();
  HttpServer server(options, routes_with([](const HttpRequest&, std::shared_ptr<Exchange> e) {
                      e->send({.body = std::string(16 << 20, 'x')});
                    }));
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  ASSERT_TRUE(wait_for([&] { return log.lines().size() == 1; }));
  EXPECT_NE(log.lines()[0].find("write stalled"), std::string::npos);
  EXPECT_TRUE(wait_for([&] { return server.counters().connections_open == 0; }));
}

TEST(HttpStream, ADroppedStreamEndsWithAnError) {
  HttpServer server(test_options(),
                    routes_with([](const HttpRequest&, std::shared_ptr<Exchange> e) {
                      e->start_stream();
                      e->write("data: one\n\n");
                    }));
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  const auto answer = client.answer();
  ASSERT_TRUE(answer && answer->complete);
  const auto events = events_of(answer->body);
  ASSERT_EQ(events.size(), 3u);
  const Json last = parse_json(events[1].substr(6), "event");
  EXPECT_EQ(last.at("error").at("type"), "server_error");
  EXPECT_EQ(events[2], "data: [DONE]");
}

TEST(HttpStream, PostsWorkToTheConnectionsThreadInOrder) {
  Stage stage;
  HttpServer server(test_options(), routes_with(stage.handler()));
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  const auto exchange = stage.next();
  std::promise<std::thread::id> first;
  std::vector<int> order;
  exchange->start_stream();
  exchange->post([&] { first.set_value(std::this_thread::get_id()); });
  for (int i = 0; i < 100; ++i) {
    exchange->post([&, i] {
      order.push_back(i);
      exchange->write("data: " + std::to_string(i) + "\n\n");
    });
  }
  std::promise<std::thread::id> last;
  exchange->post([&] {
    exchange->end();
    last.set_value(std::this_thread::get_id());
  });
  EXPECT_EQ(first.get_future().get(), last.get_future().get());
  EXPECT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(events_of(client.answer()->body).size(), 100u);
}

TEST(HttpStream, QuickRoutesAnswerWhileTheWorkersAreBusy) {
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  HttpServer server(test_options(),
                    routes_with([released](const HttpRequest&, std::shared_ptr<Exchange> e) {
                      released.wait();
                      e->send({});
                    }));
  std::vector<RawClient> blocked;
  for (int i = 0; i < 4; ++i) {
    blocked.emplace_back(server.port());
    blocked.back().send(get(server.port(), "/v1/stream"));
  }
  RawClient client(server.port());
  client.send(get(server.port(), "/health"));
  EXPECT_EQ(client.answer()->status, 200);
  release.set_value();
  for (RawClient& other : blocked) EXPECT_EQ(other.answer()->status, 200);
}

TEST(HttpDrain, LetsAnswersFinishAndRefusesNewOnes) {
  Stage stage;
  HttpServer server(test_options(), routes_with(stage.handler()));
  RawClient streaming(server.port());
  streaming.send(get(server.port(), "/v1/stream"));
  const auto exchange = stage.next();
  exchange->start_stream();
  RawClient idle(server.port());
  idle.send(get(server.port(), "/health"));
  EXPECT_EQ(idle.answer()->status, 200);
  RawClient halfway(server.port());
  halfway.send("GET /health HTTP/1.1\r\n");
  RawClient pipelining(server.port());
  pipelining.send(get(server.port(), "/v1/stream"));
  const auto second = stage.next();
  ASSERT_TRUE(wait_for([&] { return server.counters().connections_open == 4; }));

  EXPECT_FALSE(server.draining());
  std::thread stopping([&] { server.stop(30s); });
  EXPECT_TRUE(idle.receive_all()) << "an idle connection closes at once";
  EXPECT_TRUE(server.draining());
  EXPECT_FALSE(RawClient(server.port()).connected()) << "the listener is closed";
  halfway.send(host_line(server.port()) + "\r\n");
  EXPECT_EQ(halfway.answer()->status, 503);
  EXPECT_TRUE(halfway.receive_all());
  second->send({.body = "last"});
  const auto last = pipelining.answer();
  EXPECT_EQ(last->body, "last");
  EXPECT_EQ(last->header("connection"), "close");
  exchange->write("data: still here\n\n");
  exchange->end();
  EXPECT_EQ(streaming.answer()->body, "data: still here\n\n");
  EXPECT_TRUE(streaming.receive_all());
  halfway.close();
  pipelining.close();
  stopping.join();
}

TEST(HttpDrain, AnswersAfterTheNoticeEndTheirConnections) {
  Stage stage;
  HttpServer server(test_options(), routes_with(stage.handler()));
  RawClient client(server.port());
  client.send(get(server.port(), "/health"));
  EXPECT_EQ(client.answer()->header("connection"), "");
  server.announce_end();
  client.send(get(server.port(), "/health"));
  const auto last = client.answer();
  EXPECT_EQ(last->status, 200);
  EXPECT_EQ(last->header("connection"), "close");
  EXPECT_TRUE(client.receive_all());
  RawClient next(server.port());
  next.send(get(server.port(), "/v1/stream"));
  const auto exchange = stage.next();
  exchange->start_stream();
  exchange->write("data: one\n\n");
  exchange->end();
  EXPECT_EQ(next.answer()->header("connection"), "close");
  EXPECT_TRUE(next.receive_all());
}

TEST(HttpDrain, EndsWhatIsLeftWithATerminalEvent) {
  Stage stage;
  HttpServer server(test_options(), routes_with(stage.handler()));
  constexpr int kStreams = 100;
  std::vector<RawClient> clients;
  std::vector<std::shared_ptr<Exchange>> exchanges;
  Departure departure;
  for (int i = 0; i < kStreams; ++i) {
    clients.emplace_back(server.port());
    clients.back().send(get(server.port(), "/v1/stream"));
    exchanges.push_back(stage.next());
    exchanges.back()->on_disconnect(departure.action());
    if (i == 0) continue;  // one whose answer has not begun
    exchanges.back()->start_stream();
    exchanges.back()->write("data: one\n\n");
  }
  server.stop(20ms);
  EXPECT_EQ(departure.count, kStreams) << "the engine is told to stop";
  const auto unbegun = clients[0].answer();
  EXPECT_EQ(unbegun->status, 503);
  EXPECT_NE(unbegun->header("retry-after"), "");
  for (int i = 1; i < kStreams; ++i) {
    const auto answer = clients[static_cast<size_t>(i)].answer();
    ASSERT_TRUE(answer && answer->complete) << i;
    const auto events = events_of(answer->body);
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(parse_json(events[1].substr(6), "event").at("error").at("code"), "shutting_down");
    EXPECT_EQ(events[2], "data: [DONE]");
    exchanges[static_cast<size_t>(i)]->write("data: too late\n\n");
  }
}

TEST(HttpDrain, ASecondStopShortensTheGrace) {
  Stage stage;
  HttpServer server(test_options(), routes_with(stage.handler()));
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  const auto exchange = stage.next();
  exchange->start_stream();
  std::thread patient([&] { server.stop(1h); });
  ASSERT_TRUE(wait_for([&] { return server.draining(); }));
  server.stop(0ms);
  patient.join();
  EXPECT_NE(client.answer()->body.find("shutting_down"), std::string::npos);
}

TEST(HttpDrain, ExchangesOutliveTheServer) {
  Stage stage;
  std::shared_ptr<Exchange> exchange;
  {
    HttpServer server(test_options(), routes_with(stage.handler()));
    RawClient client(server.port());
    client.send(get(server.port(), "/v1/stream"));
    exchange = stage.next();
    client.close();
  }
  EXPECT_TRUE(exchange->gone());
  exchange->start_stream();
  exchange->write("data: nobody\n\n");
  exchange->post([] {});
  exchange->note("a", "b");
  exchange->end();
}

TEST(HttpDrain, TheSamePortServesAgainAtOnce) {
  HttpOptions options = test_options();
  for (int round = 0; round < 5; ++round) {
    HttpServer server(options, basic_routes());
    options.port = server.port();
    RawClient client(server.port());
    client.send(get(server.port(), "/health"));
    EXPECT_EQ(client.answer()->status, 200);
    server.stop(0ms);  // closes first: the port goes into TIME_WAIT on this side
    EXPECT_TRUE(client.receive_all());
  }
}

}  // namespace
}  // namespace qwen3::server
