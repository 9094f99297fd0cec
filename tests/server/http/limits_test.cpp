// Sizes, deadlines, numbers of connections, and a process without descriptors.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "server/http/admission.h"
#include "server/http/http_server.h"
#include "server/http/support.h"

namespace qwen3::server {
namespace {

using namespace testing;

// The first answer, and that the server closes after it.
Answer answer_and_close(RawClient& client) {
  const auto answer = client.answer();
  EXPECT_TRUE(answer);
  EXPECT_TRUE(client.receive_all()) << "the connection stays open";
  return answer.value_or(Answer{});
}

TEST(HttpLimits, RequestLineAndHeaders) {
  HttpServer server(test_options(), basic_routes());
  const auto status = [&](const std::string& request) {
    RawClient client(server.port());
    client.send(request);
    return answer_and_close(client).status;
  };
  const auto headers = [&](int n, const std::string& line) {
    std::string out = "GET /health HTTP/1.1\r\n" + host_line(server.port());
    for (int i = 0; i < n; ++i) out += line + "\r\n";
    return out + "Connection: close\r\n\r\n";
  };
  const auto line_of = [](size_t size) {
    const std::string rest = "GET /?  HTTP/1.1";
    return "GET /?" + std::string(size - rest.size() + 1, 'a') + " HTTP/1.1\r\n";
  };
  EXPECT_EQ(status(line_of(4000) + host_line(server.port()) + "Connection: close\r\n\r\n"), 404);
  EXPECT_EQ(status(line_of(4200) + host_line(server.port()) + "\r\n"), 414);
  EXPECT_EQ(status("GET /" + std::string(100'000, 'a')), 414) << "no end of the line";
  EXPECT_EQ(status(std::string(100'000, 'A')), 414);
  EXPECT_EQ(status(headers(62, "X-A: b")), 200) << "64 lines with Host and Connection";
  EXPECT_EQ(status(headers(63, "X-A: b")), 431);
  EXPECT_EQ(status(headers(100'001, "X-A: b")), 431);
  EXPECT_EQ(status(headers(10, "X-A: " + std::string(1500, 'b'))), 200);
  EXPECT_EQ(status(headers(11, "X-A: " + std::string(1500, 'b'))), 431);
  EXPECT_EQ(status(headers(1, std::string(65536, 'n') + ": b")), 431);
  EXPECT_EQ(status("GET /health HTTP/1.1\r\nX-A: " + std::string(200'000, 'b')), 431);
}

TEST(HttpLimits, BodiesAreRefusedByTheirStatedLength) {
  HttpServer server(test_options(), basic_routes());
  for (const char* length : {"4194305", "9223372036854775808", "18446744073709551615"}) {
    RawClient client(server.port());
    client.send("POST /v1/echo HTTP/1.1\r\n" + host_line(server.port()) +
                "Content-Type: application/json\r\nContent-Length: " + length + "\r\n\r\n");
    EXPECT_EQ(answer_and_close(client).status, 413) << length;
  }
  RawClient client(server.port());
  const std::string largest(4 * 1024 * 1024, 'x');
  client.send(post(server.port(), "/v1/echo", largest));
  const auto answer = client.answer();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body.size(), largest.size());
}

TEST(HttpLimits, ChunkedBodiesAreRefusedWhenTheyGrowTooLarge) {
  HttpOptions options = test_options();
  options.limits.body_bytes = 10'000;
  HttpServer server(options, basic_routes());
  const std::string head = "POST /v1/echo HTTP/1.1\r\n" + host_line(server.port()) +
                           "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string chunks;
  for (int i = 0; i < 10'000; ++i) chunks += "1\r\nx\r\n";
  {
    RawClient client(server.port());
    client.send(head + chunks + "0\r\n\r\n");
    EXPECT_EQ(client.answer()->body.size(), 10'000u);
  }
  {
    RawClient client(server.port());
    client.send(head + chunks + "1\r\nx\r\n0\r\n\r\n");
    EXPECT_EQ(answer_and_close(client).status, 413);
  }
}

// The refusal reaches a client that is still sending its body.
TEST(HttpLimits, ARefusalSurvivesTheRestOfTheBody) {
  HttpServer server(test_options(), basic_routes());
  RawClient client(server.port());
  client.send("POST /nothing HTTP/1.1\r\n" + host_line(server.port()) +
              "Content-Type: application/json\r\nContent-Length: 3000000\r\n\r\n");
  for (int i = 0; i < 30 && client.send(std::string(100'000, 'x')); ++i) {
  }
  EXPECT_EQ(answer_and_close(client).status, 404);
}

HttpOptions hasty_options() {
  HttpOptions options = test_options();
  options.limits.head_time = 150ms;
  options.limits.idle_time = 150ms;
  options.limits.body_time = 300ms;
  options.limits.body_grace = 100ms;
  return options;
}

TEST(HttpLimits, HeadsHaveOneDeadlineInTotal) {
  HttpServer server(hasty_options(), basic_routes());
  // A byte now and then does not help.
  RawClient drip(server.port());
  const std::string request = get(server.port(), "/health", "X-A: " + std::string(2000, 'a'));
  const auto start = std::chrono::steady_clock::now();
  for (const char c : request) {
    if (!drip.send({&c, 1})) break;
    if (drip.receive(10ms)) break;
  }
  EXPECT_EQ(answer_and_close(drip).status, 408);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 150ms);

  RawClient silent(server.port());
  EXPECT_TRUE(silent.receive_all()) << "a client that says nothing is closed";
  EXPECT_EQ(silent.received(), "");
}

TEST(HttpLimits, LaterHeadsHaveTheSameDeadline) {
  HttpOptions options = hasty_options();
  options.limits.idle_time = 1h;
  HttpServer server(options, basic_routes());
  RawClient client(server.port());
  client.send(get(server.port(), "/health"));
  EXPECT_EQ(client.answer()->status, 200);
  for (int i = 0; i < 2000; ++i) {
    if (!client.send("G") || client.receive(10ms)) break;
  }
  EXPECT_EQ(answer_and_close(client).status, 408);
}

TEST(HttpLimits, IdleConnectionsAreClosed) {
  HttpServer server(hasty_options(), basic_routes());
  RawClient client(server.port());
  client.send(get(server.port(), "/health"));
  EXPECT_EQ(client.answer()->status, 200);
  EXPECT_TRUE(client.receive_all());
  EXPECT_EQ(client.received(), "");
}

TEST(HttpLimits, BodiesHaveADeadlineAndAPace) {
  const auto status = [](const HttpOptions& options, size_t piece, std::chrono::milliseconds rest) {
    HttpServer server(options, basic_routes());
    RawClient client(server.port());
    client.send("POST /v1/echo HTTP/1.1\r\n" + host_line(server.port()) +
                "Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n");
    for (int i = 0; i < 2000; ++i) {
      if (!client.send(std::string(piece, 'x')) || client.receive(rest)) break;
    }
    return answer_and_close(client).status;
  };
  HttpOptions total = hasty_options();
  total.limits.body_bytes_per_second = 1;
  EXPECT_EQ(status(total, 100, 10ms), 408) << "past its time, though fast enough";
  HttpOptions pace = hasty_options();
  pace.limits.body_time = 1h;
  pace.limits.body_bytes_per_second = 1'000'000;
  EXPECT_EQ(status(pace, 1, 10ms), 408) << "too slow, though not past its time";
}

TEST(HttpLimits, ConnectionsBeyondTheLimitAreTold) {
  HttpOptions options = test_options();
  options.limits.connections = 3;
  LogRecorder log;
  options.access_log = log.sink();
  HttpServer server(options, basic_routes());
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(server.port());
    clients.back().send(get(server.port(), "/health"));
    EXPECT_EQ(clients.back().answer()->status, 200);
  }
  for (int i = 0; i < 3; ++i) {
    RawClient one_more(server.port());
    const Answer answer = answer_and_close(one_more);
    EXPECT_EQ(answer.status, 503);
    EXPECT_NE(answer.header("retry-after"), "");
    EXPECT_NE(answer.header("x-request-id"), "");
    EXPECT_NE(answer.body.find("too_many_connections"), std::string::npos);
  }
  clients.pop_back();
  ASSERT_TRUE(wait_for([&] { return server.counters().connections_open == 2; }));
  RawClient again(server.port());
  again.send(get(server.port(), "/health"));
  EXPECT_EQ(again.answer()->status, 200);
  EXPECT_EQ(server.counters().connections_refused, 3);
  EXPECT_TRUE(wait_for([&] { return log.lines().size() == 7; }));
}

TEST(Admission, CountsPerNetworkExceptOnLoopback) {
  ServerLimits limits;
  limits.connections = 100;
  limits.connections_per_address = 2;
  limits.refused_connections = 1;
  Admission admission(limits);
  const auto at = [](const char* text) { return *parse_address(text, 1); };
  using Verdict = Admission::Verdict;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(admission.admit(at("127.0.0.1")), Verdict::serve);
  EXPECT_EQ(admission.admit(at("10.0.0.1")), Verdict::serve);
  EXPECT_EQ(admission.admit(at("10.0.0.1")), Verdict::serve);
  EXPECT_EQ(admission.admit(at("10.0.0.1")), Verdict::refuse);
  EXPECT_EQ(admission.admit(at("10.0.0.1")), Verdict::drop) << "too many refusals at once";
  admission.release(at("10.0.0.1"), Verdict::refuse);
  EXPECT_EQ(admission.admit(at("10.0.0.2")), Verdict::serve);
  // One IPv6 network is one client.
  EXPECT_EQ(admission.admit(at("2001:db8::1")), Verdict::serve);
  EXPECT_EQ(admission.admit(at("2001:db8::2:1")), Verdict::serve);
  EXPECT_EQ(admission.admit(at("2001:db8::3")), Verdict::refuse);
  EXPECT_EQ(admission.admit(at("2001:db8:0:1::3")), Verdict::serve);
  admission.release(at("10.0.0.1"), Verdict::serve);
  EXPECT_EQ(admission.admit(at("10.0.0.1")), Verdict::serve);
  EXPECT_EQ(admission.open(), 16);
}

// UBSan's check of virtual tables opens a pipe, and takes a failure for a bad table.
#if defined(__SANITIZE_ADDRESS__)
#define QWEN3_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QWEN3_SANITIZED 1
#endif
#endif
#ifdef QWEN3_SANITIZED
constexpr bool kNeedsDescriptors = true;
#else
constexpr bool kNeedsDescriptors = false;
#endif

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TEST(HttpLimits, WithoutDescriptorsTheServerWaitsAndRecovers) {
  if (kNeedsDescriptors) GTEST_SKIP() << "the sanitizer itself needs descriptors";
  HttpServer server(test_options(), basic_routes());
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  RawClient client(server.port());
  client.send(get(server.port(), "/health"));
  EXPECT_EQ(client.answer()->status, 200);

  // A socket made before the limit, connected after it.
  const int waiting = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(3);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(waiting, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const std::string request = get(server.port(), "/health", "Connection: close\r\n");
  ASSERT_GT(::send(waiting, request.data(), request.size(), MSG_NOSIGNAL), 0);
  const bool noticed = wait_for([&] { return server.counters().connections_refused > 0; });
  const double cpu_before = cpu_seconds();
  std::this_thread::sleep_for(300ms);
  const double cpu = cpu_seconds() - cpu_before;
  client.send(get(server.port(), "/health"));
  const auto meanwhile = client.answer();
  setrlimit(RLIMIT_NOFILE, &before);

  EXPECT_TRUE(noticed);
  EXPECT_LT(cpu, 0.15) << "of 0.3 s: it spins";
  EXPECT_EQ(meanwhile->status, 200) << "connections that are there go on";
  std::string got(64, '\0');
  EXPECT_GT(::recv(waiting, got.data(), got.size(), 0), 0);
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200"));
  ::close(waiting);
}

}  // namespace
}  // namespace qwen3::server
