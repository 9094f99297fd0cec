// What stands behind the head of a refused request is never a request. Every refusal of the front,
// each with every way to frame a body; the body is itself a whole request, which must not be
// carried out, and the connection must close so that no proxy puts another client's request behind
// it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/sha256.h"
#include "server/http/http_server.h"
#include "server/http/support.h"

namespace qwen3::server {
namespace {

using namespace testing;

constexpr std::string_view kKey = "sk-0123456789abcdef0123456789abcdef";

struct Refusal {
  const char* name;
  int status;
  std::string method = "POST";
  std::string target = "/v1/echo";
  std::string headers = {};  // beside Host, Authorization and those of the body
  std::string host = {};     // another than the server's
  std::string type = "application/json";
  bool with_key = true;
};

std::vector<Refusal> refusals() {
  const std::string many_lines = [] {
    std::string lines;
    for (int i = 0; i < 100; ++i) lines += "X-Filler: 1\r\n";
    return lines;
  }();
  return {
      {.name = "foreign origin", .status = 403, .headers = "Origin: http://evil.example\r\n"},
      {.name = "two origins", .status = 400, .headers = "Origin: null\r\nOrigin: null\r\n"},
      {.name = "cross-site fetch", .status = 403, .headers = "Sec-Fetch-Site: cross-site\r\n"},
      {.name = "foreign host", .status = 421, .host = "evil.example"},
      {.name = "malformed host", .status = 400, .host = "a b"},
      {.name = "two slashes", .status = 404, .target = "//x"},
      {.name = "NUL in the path", .status = 404, .target = "/%00"},
      {.name = "asterisk", .status = 404, .target = "*"},
      {.name = "unknown path", .status = 404, .target = "/v1/nothing"},
      {.name = "method of another row", .status = 405, .target = "/health"},
      {.name = "unknown method", .status = 405, .method = "BREW"},
      {.name = "GET with a body", .status = 400, .method = "GET", .target = "/health"},
      {.name = "no key", .status = 401, .with_key = false},
      {.name = "compressed", .status = 415, .headers = "Content-Encoding: gzip\r\n"},
      {.name = "not JSON", .status = 415, .type = "text/plain"},
      {.name = "unknown expectation", .status = 417, .headers = "Expect: 200-ok\r\n"},
      {.name = "long request line", .status = 414, .target = "/" + std::string(8000, 'a')},
      {.name = "many header lines", .status = 431, .headers = many_lines},
      {.name = "preflight",
       .status = 204,
       .method = "OPTIONS",
       .headers = "Origin: https://app.example.org\r\nAccess-Control-Request-Method: POST\r\n"},
  };
}

struct Framing {
  const char* name;
  bool chunked = false;
  bool expects = false;    // Expect: 100-continue, and the body sent all the same
  bool apart = false;      // the body comes after the answer
  bool pipelined = false;  // a third request follows
};

constexpr Framing kFramings[] = {{.name = "length"},
                                 {.name = "chunks", .chunked = true},
                                 {.name = "length, expecting", .expects = true},
                                 {.name = "chunks, expecting", .chunked = true, .expects = true},
                                 {.name = "length, body later", .apart = true},
                                 {.name = "chunks, body later", .chunked = true, .apart = true},
                                 {.name = "length, pipelined", .pipelined = true},
                                 {.name = "chunks, pipelined", .chunked = true, .pipelined = true}};

class RefusedBody : public ::testing::Test {
 protected:
  RefusedBody() {
    HttpOptions options = test_options();
    options.keys = {{.name = "test", .digest = sha256_hex(kKey)}};
    options.allow_origins = {"https://app.example.org"};
    options.access_log = log_.sink();
    options.limits.failures_per_minute = 1 << 20;
    server_.emplace(std::move(options), basic_routes());
  }

  std::string key_line() const { return "Authorization: Bearer " + std::string(kKey) + "\r\n"; }
  std::string inner() const { return get(server_->port(), "/v1/models/smuggled", key_line()); }

  std::string head_of(const Refusal& refusal, const Framing& framing, size_t length) const {
    std::string head = refusal.method + " " + refusal.target + " HTTP/1.1\r\n";
    head += refusal.host.empty() ? host_line(server_->port()) : "Host: " + refusal.host + "\r\n";
    if (refusal.with_key) head += key_line();
    head += "Content-Type: " + refusal.type + "\r\n" + refusal.headers;
    if (framing.expects && refusal.headers.find("Expect") == std::string::npos) {
      head += "Expect: 100-continue\r\n";
    }
    head += framing.chunked ? "Transfer-Encoding: chunked\r\n"
                            : "Content-Length: " + std::to_string(length) + "\r\n";
    return head + "\r\n";
  }

  // Returns what the server sent until it closed; nothing when it did not close.
  std::optional<std::string> play(const Refusal& refusal, const Framing& framing) {
    std::string body = inner();
    const std::string head = head_of(refusal, framing, body.size());
    if (framing.chunked) {
      body = fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", body.size(), body);
    }
    if (framing.pipelined) body += inner();
    RawClient client(server_->port());
    client.send(framing.apart ? head : head + body);
    if (framing.apart) {
      client.receive_until("\r\n\r\n");
      client.send(body);
    }
    if (!client.receive_all()) return std::nullopt;
    return client.received();
  }

  LogRecorder log_;
  std::optional<HttpServer> server_;
};

TEST_F(RefusedBody, NoBodyOfARefusedRequestIsARequest) {
  for (const Refusal& refusal : refusals()) {
    for (const Framing& framing : kFramings) {
      SCOPED_TRACE(std::string(refusal.name) + ", " + framing.name);
      const std::optional<std::string> got = play(refusal, framing);
      ASSERT_TRUE(got) << "the connection stays open";
      EXPECT_EQ(got->substr(0, 12), "HTTP/1.1 " + std::to_string(refusal.status));
      EXPECT_EQ(got->find("HTTP/1.1 ", 1), std::string::npos) << *got;
      EXPECT_NE(got->find("connection: close"), std::string::npos) << *got;
    }
  }
  for (const std::string& line : log_.lines()) {
    EXPECT_EQ(line.find("smuggled"), std::string::npos) << line;
  }
}

// The other half of the rule: what has no body, or had it read, does not cost the connection.
TEST_F(RefusedBody, RefusalsOfWholeRequestsKeepTheConnection) {
  RawClient client(server_->port());
  const uint16_t port = server_->port();
  client.send(get(port, "/v1/nothing", key_line()));
  EXPECT_EQ(client.answer()->status, 404);
  client.send(get(port, "/health", "Origin: http://evil.example\r\n"));
  EXPECT_EQ(client.answer()->status, 403);
  client.send(post(port, "/v1/echo", "\xFF", key_line()));
  EXPECT_EQ(client.answer()->status, 400);
  client.send(post(port, "/v1/echo", "", "Origin: http://evil.example\r\n"));
  EXPECT_EQ(client.answer()->status, 403);
  client.send(get(port, "/v1/models/last", key_line()));
  EXPECT_EQ(client.answer()->body, "last");
}

// Which request a head without a usable Host was meant for is unknown: nothing behind it is
// answered.
TEST_F(RefusedBody, AMalformedHostCloses) {
  RawClient client(server_->port());
  client.send("GET /health HTTP/1.1\r\n\r\n" + inner());
  ASSERT_TRUE(client.receive_all());
  EXPECT_EQ(client.received().substr(0, 12), "HTTP/1.1 400");
  EXPECT_EQ(client.received().find("HTTP/1.1 ", 1), std::string::npos);
}

TEST(RefusedBodyLimits, TooLargeAndTooManyClose) {
  HttpOptions options = test_options();
  options.limits.body_bytes = 64;
  options.keys = {{.name = "test", .digest = sha256_hex(kKey)}};
  options.limits.failures_per_minute = 1;
  HttpServer server(std::move(options), basic_routes());
  const std::string inner = get(server.port(), "/health");
  const std::string key = "Authorization: Bearer " + std::string(kKey) + "\r\n";
  const auto first_line_of = [&](const std::string& headers, const std::string& body) {
    RawClient client(server.port());
    client.send(post(server.port(), "/v1/echo", body, headers));
    EXPECT_TRUE(client.receive_all());
    EXPECT_EQ(client.received().find("HTTP/1.1 ", 1), std::string::npos) << client.received();
    return client.received().substr(0, 12);
  };
  EXPECT_EQ(first_line_of(key, inner + std::string(64, ' ')), "HTTP/1.1 413");
  EXPECT_EQ(first_line_of("", inner), "HTTP/1.1 401");
  EXPECT_EQ(first_line_of("", inner), "HTTP/1.1 429");
}

// There is no room for the body: it is refused by its stated length, unread; chunks when they have
// grown too many.
TEST(RefusedBodyLimits, WithoutMemoryTheConnectionCloses) {
  HttpOptions options = test_options();
  options.request_memory_bytes = 0;  // the least
  options.limits.body_bytes = 64 << 20;
  HttpServer server(std::move(options), basic_routes());
  const std::string head = "POST /v1/echo HTTP/1.1\r\n" + host_line(server.port()) +
                           "Content-Type: application/json\r\n";
  const std::string inner = get(server.port(), "/health");
  {
    RawClient client(server.port());
    client.send(head + "Content-Length: 33554432\r\n\r\n" + inner + inner);
    ASSERT_TRUE(client.receive_all());
    EXPECT_EQ(client.received().substr(0, 12), "HTTP/1.1 503");
    EXPECT_NE(client.received().find("retry-after"), std::string::npos);
    EXPECT_EQ(client.received().find("HTTP/1.1 ", 1), std::string::npos);
  }
  {
    RawClient client(server.port());
    client.send(head + "Transfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "10000\r\n" + std::string(0x10000, ' ') + "\r\n";
    for (int i = 0; i < 500 && client.send(chunk); ++i) {
    }
    ASSERT_TRUE(client.receive_all());
    EXPECT_EQ(client.received().substr(0, 12), "HTTP/1.1 503");
  }
  // What was held is free again.
  EXPECT_TRUE(wait_for([&] { return server.counters().connections_open == 0; }));
  EXPECT_EQ(server.counters().request_bytes, 0);
  EXPECT_GE(server.counters().request_bytes_refused, 2);
  RawClient client(server.port());
  client.send(post(server.port(), "/v1/echo", R"("small")"));
  EXPECT_EQ(client.answer()->status, 200);
}

// The values of a body are counted before it is read as JSON.
TEST(RefusedBodyLimits, BodiesThatUnfoldAreRefused) {
  HttpOptions options = test_options();
  options.request_memory_bytes = 16 << 20;
  HttpServer server(std::move(options), basic_routes());
  RawClient client(server.port());
  client.send(post(server.port(), "/v1/echo", "[" + std::string(100'000, ',') + "]"));
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_NE(answer->body.find("JSON values"), std::string::npos) << answer->body;
  client.send(post(server.port(), "/v1/echo", "[1]"));
  EXPECT_EQ(client.answer()->body, "[1]") << "the body was read, so the connection goes on";
}

}  // namespace
}  // namespace qwen3::server
