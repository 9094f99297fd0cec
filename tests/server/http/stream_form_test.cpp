// Streams and refusals in the form that a route's API has for them.
#include <gtest/gtest.h>

#include "server/http/support.h"

namespace qwen3::server::testing {
namespace {

constexpr std::string_view kVisiblePing = "event: ping\ndata: {}\n\n";

StreamForm visible_form(std::chrono::milliseconds interval) {
  return {.headers = {{"request-id", "r"}},
          .ping = std::string(kVisiblePing),
          .ping_interval = interval,
          .last_event = [](std::string_view message, std::string_view code) {
            return "event: error\ndata: " + std::string(code) + " " + std::string(message) + "\n\n";
          }};
}

void upper_case(HttpResponse& refusal, std::string_view request_id) {
  refusal.headers.emplace_back("request-id", request_id);
  refusal.body = "ours: " + std::to_string(refusal.status);
}

// Its own interval where that is the shorter one, and the server's where it is not.
TEST(HttpStreamForm, PingsOfItsOwn) {
  for (const auto& [of_server, of_stream] : {std::pair{60'000ms, 30ms}, {30ms, 60'000ms}}) {
    HttpOptions options = test_options();
    options.limits.ping_interval = of_server;
    std::shared_ptr<Exchange> exchange;
    HttpServer server(
        options,
        routes_with([&, interval = of_stream](const HttpRequest&, std::shared_ptr<Exchange> e) {
          e->start_stream(visible_form(interval));
          exchange = std::move(e);
        }));
    RawClient client(server.port());
    client.send(get(server.port(), "/v1/stream"));
    ASSERT_TRUE(client.receive_until(kVisiblePing));
    EXPECT_NE(client.received().find("request-id: r\r\n"), std::string::npos);
    EXPECT_EQ(client.received().find(": ping\n\n: "), std::string::npos);
    exchange->end();
    EXPECT_TRUE(client.answer()->complete);
  }
}

TEST(HttpStreamForm, LastEventOfItsOwn) {
  {
    HttpServer server(test_options(),
                      routes_with([&](const HttpRequest&, std::shared_ptr<Exchange> e) {
                        e->start_stream(visible_form(0ms));
                        e->write("data: one\n\n");  // and drops it
                      }));
    RawClient client(server.port());
    client.send(get(server.port(), "/v1/stream"));
    EXPECT_EQ(client.answer()->body,
              "data: one\n\nevent: error\ndata: internal_error the server failed to complete the "
              "answer\n\n");
  }
  std::shared_ptr<Exchange> exchange;
  HttpServer server(test_options(),
                    routes_with([&](const HttpRequest&, std::shared_ptr<Exchange> e) {
                      e->start_stream(visible_form(0ms));
                      exchange = std::move(e);
                    }));
  RawClient client(server.port());
  client.send(get(server.port(), "/v1/stream"));
  ASSERT_TRUE(client.receive_until("\r\n\r\n"));
  server.stop(0ms);
  const std::string body = client.answer()->body;
  EXPECT_TRUE(body.ends_with("event: error\ndata: shutting_down the server is shutting down\n\n"))
      << body;
}

TEST(HttpStreamForm, RefusalsOfTheRoute) {
  HttpOptions options = test_options();
  options.limits.body_bytes = 1000;
  std::vector<Route> routes = basic_routes();
  routes.push_back({.method = "POST",
                    .path = "/v1/form",
                    .handler = [](const HttpRequest&, std::shared_ptr<Exchange>) {},
                    .refusal_form = upper_case});
  HttpServer server(options, std::move(routes));
  const auto answer_to = [&](const std::string& request) {
    RawClient client(server.port());
    client.send(request);
    return *client.answer();
  };
  const Answer large = answer_to(post(server.port(), "/v1/form", std::string(2000, ' ')));
  EXPECT_EQ(large.body, "ours: 413");
  EXPECT_EQ(large.header("request-id"), large.header("x-request-id"));
  EXPECT_EQ(answer_to(post(server.port(), "/v1/form", "{}")).body, "ours: 500") << "no answer";
  EXPECT_EQ(answer_to(get(server.port(), "/v1/form")).body.find("ours"), std::string::npos)
      << "no route, no form";
  // The form does not outlive its request.
  RawClient client(server.port());
  client.send(post(server.port(), "/v1/form", "{}"));
  EXPECT_EQ(client.answer()->body, "ours: 500");
  client.send(get(server.port(), "/v1/nothing"));
  EXPECT_NE(client.answer()->body.find("unknown_url"), std::string::npos);
}

}  // namespace
}  // namespace qwen3::server::testing
