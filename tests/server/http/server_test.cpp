// The server as a client sees it: requests, answers, keep-alive, addresses, options.
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "base/json.h"
#include "qwen3/error.h"
#include "server/http/http_server.h"
#include "server/http/support.h"

namespace qwen3::server {
namespace {

using namespace testing;

TEST(HttpServer, AnswersWithTheHeadersOfEveryAnswer) {
  HttpServer server(test_options(), basic_routes());
  RawClient client(server.port());
  client.send(get(server.port(), "/health"));
  const auto answer = client.answer();
  ASSERT_TRUE(answer && answer->complete);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, R"({"status":"ok"})");
  EXPECT_EQ(answer->header("content-type"), "application/json");
  EXPECT_EQ(answer->header("x-content-type-options"), "nosniff");
  EXPECT_EQ(answer->header("cache-control"), "no-store");
  EXPECT_EQ(answer->header("referrer-policy"), "no-referrer");
  EXPECT_EQ(answer->header("cross-origin-opener-policy"), "same-origin");
  EXPECT_EQ(answer->header("cross-origin-resource-policy"), "same-origin");
  EXPECT_NE(answer->header("content-security-policy").find("default-src 'none'"),
            std::string::npos);
  EXPECT_FALSE(answer->header("permissions-policy").empty());
  EXPECT_FALSE(answer->header("date").empty());
  EXPECT_FALSE(answer->header("x-request-id").empty());
  EXPECT_FALSE(answer->headers.contains("server"));
  EXPECT_FALSE(answer->headers.contains("connection"));
  EXPECT_FALSE(answer->headers.contains("access-control-allow-origin"));
}

// A slash too many is not mended, and the answer says what is wrong; of no other path it says more.
TEST(HttpServer, NamesTheSlashTooMany) {
  HttpServer server(test_options(), basic_routes());
  for (const std::string target : {"//health", "/health/", "/health//?a=b"}) {
    RawClient client(server.port());
    client.send(get(server.port(), target));
    const auto answer = client.answer();
    ASSERT_TRUE(answer && answer->complete);
    EXPECT_EQ(answer->status, 404) << target;
    EXPECT_NE(answer->body.find("use /health,"), std::string::npos) << answer->body;
  }
  for (const std::string target : {"//nothing", "/health/..", "/health/%00/"}) {
    RawClient client(server.port());
    client.send(get(server.port(), target));
    const auto answer = client.answer();
    ASSERT_TRUE(answer && answer->complete);
    EXPECT_NE(answer->body.find("\"no such path\""), std::string::npos) << answer->body;
  }
}

// In the client's form: JSON, or a page for who asks for one first.
TEST(HttpServer, SaysWhatToUseInstead) {
  HttpOptions options = test_options();
  options.hint = [](std::string_view path) { return "not <" + std::string(path) + ">"; };
  HttpServer server(options, basic_routes());
  const std::string head = "GET /nothing HTTP/1.1\r\n" + host_line(server.port());
  for (const char* accept : {"", "accept: */*\r\n", "accept: application/json, text/html\r\n"}) {
    RawClient client(server.port());
    client.send(head + accept + "\r\n");
    const auto answer = client.answer();
    EXPECT_EQ(answer->status, 404);
    EXPECT_EQ(answer->header("content-type"), "application/json");
    EXPECT_NE(answer->body.find("no such path: not </nothing>"), std::string::npos) << answer->body;
  }
  RawClient client(server.port());
  client.send(head + "accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\r\n");
  const auto answer = client.answer();
  EXPECT_EQ(answer->status, 404);
  EXPECT_EQ(answer->header("content-type"), "text/html; charset=utf-8");
  EXPECT_NE(answer->body.find("no such path: not &lt;/nothing"), std::string::npos) << answer->body;
}

TEST(HttpServer, KeepsRequestIdsThatArePlain) {
  HttpServer server(test_options(), basic_routes());
  RawClient client(server.port());
  const std::string longest(64, 'a');
  for (const std::string& id : {std::string("abc_DEF-123"), longest}) {
    client.send(get(server.port(), "/health", "X-Request-Id: " + id + "\r\n"));
    EXPECT_EQ(client.answer()->header("x-request-id"), id);
  }
  std::string last;
  for (const std::string& id : {longest + "a",
                                std::string("a b"),
                                std::string("a\"b"),
                                std::string("\xC3\xA9"),
                                std::string("a;b")}) {
    client.send(get(server.port(), "/health", "X-Request-Id: " + id + "\r\n"));
    const std::string fresh = client.answer()->header("x-request-id");
    EXPECT_TRUE(fresh.starts_with("req-")) << fresh;
    EXPECT_NE(fresh, last);
    last = fresh;
  }
  client.send(get(server.port(), "/health", "X-Request-Id: a\r\nX-Request-Id: b\r\n"));
  EXPECT_TRUE(client.answer()->header("x-request-id").starts_with("req-"));
}

TEST(HttpServer, ReadsBodiesByLengthAndInChunks) {
  HttpServer server(test_options(), basic_routes());
  RawClient client(server.port());
  const std::string body = R"({"text":"Grüße"})";
  client.send(post(server.port(), "/v1/echo", body));
  EXPECT_EQ(client.answer()->body, body);
  client.send("POST /v1/echo HTTP/1.1\r\n" + host_line(server.port()) +
              "Content-Type: application/json; charset=utf-8\r\nTransfer-Encoding: Chunked\r\n\r\n"
              "5\r\n01234\r\nA\r\n56789abcde\r\n0\r\n\r\n");
  EXPECT_EQ(client.answer()->body, "0123456789abcde");
  // Byte by byte, and an empty body.
  for (const std::string_view chunks : {"0\r\n\r\n", "1\r\nx\r\n2\r\nyz\r\n0\r\n\r\n"}) {
    const std::string request = "POST /v1/echo HTTP/1.1\r\n" + host_line(server.port()) +
                                "Content-Type: application/json\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n" +
                                std::string(chunks);
    for (const char c : request) client.send({&c, 1});
    EXPECT_EQ(client.answer()->body, chunks.size() == 5 ? "" : "xyz");
  }
  for (const char c : post(server.port(), "/v1/echo", body)) client.send({&c, 1});
  EXPECT_EQ(client.answer()->body, body);
  client.send(post(server.port(), "/v1/echo", ""));
  EXPECT_EQ(client.answer()->body, "");
}

TEST(HttpServer, RefusesBodiesThatAreNotUtf8) {
  HttpServer server(test_options(), basic_routes());
  RawClient client(server.port());
  client.send(post(server.port(), "/v1/echo", "ab\xFF"));
  const auto answer = client.answer();
  EXPECT_EQ(answer->status, 400);
  EXPECT_NE(answer->body.find("byte 2"), std::string::npos);
  client.send(post(server.port(), "/v1/echo", "ok"));
  EXPECT_EQ(client.answer()->body, "ok") << "the connection goes on";
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  HttpServer server(test_options(), basic_routes());
  RawClient client(server.port());
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += i % 2 ? get(server.port(), "/v1/models/" + std::to_string(i))
                 : post(server.port(), "/v1/echo", std::to_string(i));
  }
  client.send(all);
  for (int i = 0; i < 50; ++i) {
    const auto answer = client.answer();
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->body, std::to_string(i));
  }
}

TEST(HttpServer, EndsAConnectionAfterItsRequests) {
  HttpOptions options = test_options();
  options.limits.requests_per_connection = 3;
  HttpServer server(options, basic_routes());
  RawClient client(server.port());
  for (int i = 0; i < 5; ++i) client.send(get(server.port(), "/health"));
  EXPECT_EQ(client.answer()->header("connection"), "");
  EXPECT_EQ(client.answer()->header("connection"), "");
  EXPECT_EQ(client.answer()->header("connection"), "close");
  EXPECT_TRUE(client.receive_all());
  EXPECT_EQ(client.received(), "") << "a fourth answer";
}

TEST(HttpServer, FollowsTheClientsWishAboutTheConnection) {
  HttpServer server(test_options(), basic_routes());
  const std::string host = host_line(server.port());
  struct Case {
    std::string request;
    std::string connection;  // of the answer
    bool closes;
  };
  const Case cases[] = {
      {"GET /health HTTP/1.1\r\n" + host + "\r\n", "", false},
      {"GET /health HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "close", true},
      {"GET /health HTTP/1.1\r\n" + host + "Connection: foo, Close\r\n\r\n", "close", true},
      {"GET /health HTTP/1.0\r\n" + host + "\r\n", "close", true},
      {"GET /health HTTP/1.0\r\n" + host + "Connection: keep-alive\r\n\r\n", "keep-alive", false},
  };
  for (const Case& c : cases) {
    RawClient client(server.port());
    client.send(c.request);
    const auto answer = client.answer();
    ASSERT_TRUE(answer && answer->complete) << c.request;
    EXPECT_EQ(answer->header("connection"), c.connection) << c.request;
    if (c.closes) {
      EXPECT_TRUE(client.receive_all()) << c.request;
    } else {
      client.send(get(server.port(), "/health", "Connection: close\r\n"));
      EXPECT_EQ(client.answer()->status, 200) << c.request;
    }
  }
}

TEST(HttpServer, HeadIsGetWithoutTheBody) {
  HttpServer server(test_options(), basic_routes());
  RawClient client(server.port());
  client.send("HEAD /health HTTP/1.1\r\n" + host_line(server.port()) + "\r\n" +
              get(server.port(), "/health"));
  const auto head = client.answer(true);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->header("content-length"), "15");
  EXPECT_EQ(client.answer()->body, R"({"status":"ok"})");
}

TEST(HttpServer, ContinuesWhenAsked) {
  HttpServer server(test_options(), basic_routes());
  const std::string head = "POST /v1/echo HTTP/1.1\r\n" + host_line(server.port()) +
                           "Content-Type: application/json\r\n";
  {
    RawClient client(server.port());
    client.send(head + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(client.answer()->status, 100);
    client.send("123");
    EXPECT_EQ(client.answer()->body, "123");
  }
  {
    RawClient client(server.port());  // a body that would be refused is not asked for
    client.send(head + "Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(client.answer()->status, 413);
    EXPECT_TRUE(client.receive_all());
  }
  {
    RawClient client(server.port());
    client.send(head + "Content-Length: 3\r\nExpect: something\r\n\r\n");
    EXPECT_EQ(client.answer()->status, 417);
  }
}

TEST(HttpServer, StatesMethodsOfAPath) {
  HttpServer server(test_options(), basic_routes());
  RawClient client(server.port());
  client.send("DELETE /v1/echo HTTP/1.1\r\n" + host_line(server.port()) + "\r\n");
  const auto answer = client.answer();
  EXPECT_EQ(answer->status, 405);
  EXPECT_EQ(answer->header("allow"), "POST");
  client.send("POST /health HTTP/1.1\r\n" + host_line(server.port()) + "\r\n");
  EXPECT_EQ(client.answer()->header("allow"), "GET, HEAD");
}

TEST(HttpServer, ErrorsHaveTheShapeOfTheApi) {
  HttpServer server(test_options(), basic_routes());
  RawClient client(server.port());
  client.send(get(server.port(), "/nothing"));
  const auto answer = client.answer();
  EXPECT_EQ(answer->status, 404);
  const Json body = parse_json(answer->body, "answer");
  EXPECT_EQ(body.at("error").at("type"), "invalid_request_error");
  EXPECT_TRUE(body.at("error").at("param").is_null());
  EXPECT_EQ(body.at("error").at("code"), "unknown_url");
  EXPECT_FALSE(body.at("error").at("message").get<std::string>().empty());
  EXPECT_EQ(body.at("error").size(), 4u);
}

TEST(HttpServer, ListensOnBothLoopbacksByDefault) {
  HttpOptions options;
  options.port = 0;
  HttpServer server(options, basic_routes());
  RawClient v4(server.port());
  v4.send(get(server.port(), "/health"));
  EXPECT_EQ(v4.answer()->status, 200);
  if (server.addresses().size() < 2) GTEST_SKIP() << "no IPv6 here";
  RawClient v6(server.port(), true);
  v6.send("GET /health HTTP/1.1\r\nHost: [::1]:" + std::to_string(server.port()) + "\r\n\r\n");
  EXPECT_EQ(v6.answer()->status, 200);
}

TEST(HttpServer, RefusesUnsafeAndSenselessOptions) {
  const auto refused = [](const std::function<void(HttpOptions&)>& change) -> std::string {
    HttpOptions options = test_options();
    change(options);
    try {
      HttpServer server(options, basic_routes());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const auto hosts = [&](std::string host) {
    return refused([&](HttpOptions& o) { o.addresses = {host}; });
  };
  EXPECT_NE(hosts("0.0.0.0").find("without keys"), std::string::npos);
  EXPECT_NE(hosts("::").find("without keys"), std::string::npos);
  EXPECT_NE(hosts("192.168.1.1").find("without keys"), std::string::npos);
  EXPECT_NE(hosts("example.org").find("numeric address"), std::string::npos);
  EXPECT_NE(hosts("127.0.0.1 ").find("numeric address"), std::string::npos);
  EXPECT_NE(hosts("").find("numeric address"), std::string::npos);
  EXPECT_EQ(hosts("localhost"), "");
  EXPECT_EQ(hosts("127.8.8.8"), "");
  EXPECT_NE(refused([](HttpOptions& o) { o.addresses = {}; }), "");
  EXPECT_NE(refused([](HttpOptions& o) { o.keyless_network = true; }).find("without keys"),
            std::string::npos)
      << "with routes that show data";
  EXPECT_NE(refused([](HttpOptions& o) { o.allow_origins = {"*"}; }), "");
  EXPECT_NE(refused([](HttpOptions& o) { o.allow_hosts = {"*"}; }), "");
  EXPECT_NE(refused([](HttpOptions& o) { o.allow_hosts = {"http://a"}; }), "");
  EXPECT_NE(refused([](HttpOptions& o) { o.allow_origins = {"a.example"}; }), "");
  EXPECT_NE(refused([](HttpOptions& o) { o.allow_origins = {"https://a.example/"}; }), "");
  EXPECT_NE(refused([](HttpOptions& o) { o.tls_key = "key.pem"; }), "");
  EXPECT_NE(refused([](HttpOptions& o) { o.io_threads = 0; }), "");
  EXPECT_NE(refused([](HttpOptions& o) { o.worker_threads = 0; }), "");
  EXPECT_EQ(refused([](HttpOptions& o) {
              o.addresses = {"0.0.0.0"};
              o.keys = {make_api_key("a", std::string(32, 'k'), "test")};
            }),
            "");
}

TEST(HttpServer, NamesAPortThatIsTaken) {
  HttpServer first(test_options(), basic_routes());
  HttpOptions options = test_options();
  options.port = first.port();
  try {
    HttpServer second(options, basic_routes());
    FAIL() << "bound twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_NE(std::string(error.what()).find(std::to_string(options.port)), std::string::npos);
  }
}

TEST(HttpServer, TurnsAHandlersFailureInto500) {
  LogRecorder log;
  HttpOptions options = test_options();
  options.access_log = log.sink();
  std::vector<Route> routes = basic_routes();
  const auto add = [&](std::string path, Handler handler) {
    routes.push_back({.method = "GET", .path = std::move(path), .handler = std::move(handler)});
  };
  add("/drops", [](const HttpRequest&, std::shared_ptr<Exchange>) {});
  add("/throws", [](const HttpRequest&, std::shared_ptr<Exchange>) {
    throw std::runtime_error("broken inside");
  });
  add("/quotes", [](const HttpRequest&, std::shared_ptr<Exchange>) {
    throw Error(ErrorKind::invalid_argument, "prompt text");
  });
  add("/splits", [](const HttpRequest&, std::shared_ptr<Exchange> exchange) {
    exchange->send({.headers = {{"x-a", "b\r\nx-evil: 1"}}});
  });
  add("/twice", [&log](const HttpRequest&, std::shared_ptr<Exchange> exchange) {
    exchange->send({.body = "first"});
    // The defect is told as well when the first answer is already out.
    EXPECT_TRUE(wait_for([&] { return log.lines().size() == 5; }));
    EXPECT_THROW(exchange->send({.body = "second"}), Error);
  });
  HttpServer server(options, routes);
  RawClient client(server.port());
  for (const char* path : {"/drops", "/throws", "/quotes", "/splits"}) {
    client.send(get(server.port(), path));
    const auto answer = client.answer();
    EXPECT_EQ(answer->status, 500) << path;
    EXPECT_EQ(answer->body.find("inside"), std::string::npos);
    EXPECT_FALSE(answer->headers.contains("x-evil"));
  }
  client.send(get(server.port(), "/twice"));
  EXPECT_EQ(client.answer()->body, "first");
  ASSERT_TRUE(wait_for([&] { return log.lines().size() == 5; }));
  EXPECT_NE(log.lines()[1].find("broken inside"), std::string::npos);
  EXPECT_EQ(log.lines()[2].find("prompt text"), std::string::npos);
}

// Work for nobody is not done.
TEST(HttpServer, ForgetsRequestsWhoseClientLeftBeforeTheirTurn) {
  std::promise<void> open;
  const std::shared_future<void> opened = open.get_future().share();
  std::atomic<int> n_called{0};
  HttpOptions options = test_options();
  options.worker_threads = 1;
  HttpServer server(options, routes_with([&](const HttpRequest&, std::shared_ptr<Exchange> e) {
                      ++n_called;
                      opened.wait();
                      e->send({.body = "{}"});
                    }));
  RawClient first(server.port());
  first.send(get(server.port(), "/v1/stream"));
  ASSERT_TRUE(wait_for([&] { return n_called == 1; }));
  {
    RawClient leaving(server.port());
    leaving.send(get(server.port(), "/v1/stream"));
    ASSERT_TRUE(wait_for([&] { return server.counters().exchanges_open == 2; }));
    leaving.reset();
  }
  ASSERT_TRUE(wait_for([&] { return server.counters().exchanges_open == 1; }));
  RawClient last(server.port());
  last.send(get(server.port(), "/v1/stream"));
  ASSERT_TRUE(wait_for([&] { return server.counters().exchanges_open == 2; }));
  open.set_value();
  EXPECT_EQ(first.answer()->status, 200);
  EXPECT_EQ(last.answer()->status, 200);
  EXPECT_EQ(n_called, 2);
}

TEST(HttpServer, CountsWhatItDoes) {
  HttpServer server(test_options(), basic_routes());
  RawClient client(server.port());
  client.send(get(server.port(), "/health") + get(server.port(), "/nothing"));
  client.answer();
  client.answer();
  ASSERT_TRUE(wait_for([&] { return server.counters().requests == 2; }));
  const HttpCounters counters = server.counters();
  EXPECT_EQ(counters.connections_open, 1);
  EXPECT_EQ(counters.connections_accepted, 1);
  EXPECT_EQ(counters.exchanges_open, 0);
  EXPECT_GT(counters.bytes_sent, 1000);
  client.close();
  EXPECT_TRUE(wait_for([&] { return server.counters().connections_open == 0; }));
}

}  // namespace
}  // namespace qwen3::server
