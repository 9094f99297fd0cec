// qwen3 serve in the hands of who runs it: logs that nobody reads, signals, pauses, balancers.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "base/json.h"
#include "cli/run_program.h"
#include "cli/serve/running_server.h"

namespace qwen3::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

// A stream that is long enough for whatever is done to its server meanwhile.
std::string long_stream(uint16_t port) {
  return request_text(
      "POST /v1/completions",
      port,
      R"({"prompt":"Hello","max_tokens":600,"ignore_eos":true,"loop_guard":false,"stream":true})");
}

// Of the first metric line that begins so; -1 when there is none.
double metric(const std::string& page, const std::string& name) {
  const size_t at = page.find("\n" + name + " ");
  return at == page.npos ? -1 : std::stod(page.substr(at + name.size() + 2));
}

// More lines than the pipe and the server's own memory hold.
void fill_the_log(const RunningServer& server) {
  const std::string path = "GET /" + std::string(450, 'x');
  for (int i = 0; i < 1500; ++i) {
    ASSERT_THAT(server.request(path), HasSubstr("HTTP/1.1 404")) << i;
  }
}

TEST(ServeLog, AReaderThatStopsStopsNothing) {
  RunningServer server({"-m", "nano", "--metrics"}, 0, AccessLog::on);
  fill_the_log(server);
  EXPECT_THAT(server.request("GET /health"), HasSubstr("HTTP/1.1 200"));
  EXPECT_GT(metric(server.request("GET /metrics"), "qwen3_log_lines_lost_total"), 0);
  // It ends although nobody reads a word of it.
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(server.stop(SIGTERM), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(15));
}

TEST(ServeLog, SaysHowMuchIsMissingOnceItIsRead) {
  RunningServer server({"-m", "nano", "--metrics"}, 0, AccessLog::on);
  fill_the_log(server);
  const double n_lost = metric(server.request("GET /metrics"), "qwen3_log_lines_lost_total");
  const std::string said = server.hear("log lines were lost here");
  EXPECT_THAT(server.request("GET /health"), HasSubstr("HTTP/1.1 200"));
  server.send_signal(SIGTERM);
  const auto [rest, exit_code] = server.wait_for_end();
  EXPECT_EQ(exit_code, 0);
  int64_t n_entries = 0, n_missing = 0;
  for (const std::string& line : lines_of(said + rest)) {
    if (line.starts_with("{")) {
      EXPECT_TRUE(parse_json(line, "line").contains("outcome")) << line;
      ++n_entries;
    } else if (line.find("lost here") != line.npos) {
      n_missing += std::stoll(line.substr(line.find(':') + 2));
    }
  }
  EXPECT_EQ(n_entries + n_missing, 1502);
  EXPECT_GE(static_cast<double>(n_missing), n_lost);
  EXPECT_THAT(rest, HasSubstr("/health"));
}

TEST(ServeSignals, ASecondSigtermDoesNotWait) {
  RunningServer server({"-m", "nano", "--drain-seconds", "600"});
  Conversation client(server.port());
  client.send(long_stream(server.port()));
  client.hear("data: ");
  server.send_signal(SIGTERM);
  // The listener is closed: what came first is under way. Two that are pending would be one.
  while (Conversation(server.port()).connected()) std::this_thread::yield();
  server.send_signal(SIGTERM);
  const std::string& answer = client.hear_all();
  EXPECT_THAT(answer, HasSubstr(R"("code":"draining")"));
  EXPECT_THAT(answer, HasSubstr("data: [DONE]\n\n"));
  EXPECT_EQ(server.stop(0), 0);
}

TEST(ServeSignals, ADrainThatRunsOutEndsAStreamLikeAnyFailure) {
  RunningServer server({"-m", "nano", "--drain-seconds", "0"});
  Conversation client(server.port());
  client.send(long_stream(server.port()));
  client.hear("data: ");
  EXPECT_EQ(server.stop(SIGTERM), 0);
  const std::string& answer = client.hear_all();
  EXPECT_THAT(answer, HasSubstr(R"("code":"shutting_down")"));
  EXPECT_THAT(answer, HasSubstr("data: [DONE]\n\n"));
}

// What a terminal that closes sends: twice, and nothing under way is lost.
TEST(ServeSignals, SighupLetsAnswersFinish) {
  RunningServer server({"-m", "nano", "--drain-seconds", "600"});
  Conversation client(server.port());
  client.send(long_stream(server.port()));
  client.hear("data: ");
  server.send_signal(SIGHUP);
  while (Conversation(server.port()).connected()) std::this_thread::yield();
  server.send_signal(SIGHUP);
  const std::string& answer = client.hear_all();
  EXPECT_THAT(answer, HasSubstr(R"("finish_reason":"length")"));
  EXPECT_THAT(answer, Not(HasSubstr(R"("error")")));
  EXPECT_EQ(server.stop(0), 0);
}

TEST(ServeSignals, SighupIsIgnoredUnderNohup) {
  signal(SIGHUP, SIG_IGN);
  RunningServer server({"-m", "nano"});
  signal(SIGHUP, SIG_DFL);
  server.send_signal(SIGHUP);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  ASSERT_TRUE(server.runs());
  EXPECT_THAT(server.request("GET /health"), HasSubstr("HTTP/1.1 200"));
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

// Its negative control is Serve.AStepThatHangsEndsItWithStacks.
TEST(ServeWatchdog, APausedProcessIsNotTakenForAStepThatHangs) {
  RunningServer server({"-m", "nano-moe", "--backend", "reference", "--step-seconds", "2"});
  Conversation client(server.port());
  // Steps so long that the pause falls into one.
  client.send(request_text(
      "POST /v1/completions",
      server.port(),
      R"({"prompt":"Hello","n":8,"max_tokens":40,"ignore_eos":true,"loop_guard":false,"stream":true})"));
  client.hear("data: ");
  server.send_signal(SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(2600));
  server.send_signal(SIGCONT);
  const std::string& answer = client.hear_all();
  EXPECT_THAT(answer, HasSubstr(R"("finish_reason":"length")"));
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

// The pause is longer than a head may take.
TEST(ServeDeadlines, APausedProcessDoesNotBlameItsClients) {
  RunningServer server({"-m", "nano"});
  Conversation client(server.port());
  const std::string request = request_text("GET /health", server.port());
  client.send(request.substr(0, request.size() / 2));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  server.send_signal(SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(10'500));
  server.send_signal(SIGCONT);
  std::this_thread::sleep_for(std::chrono::milliseconds(1'500));
  client.send(request.substr(request.size() / 2));
  EXPECT_THAT(client.hear_all(), HasSubstr("HTTP/1.1 200"));
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

TEST(ServeBalancer, GetsNoticeBeforeTheListenerCloses) {
  RunningServer server({"-m", "nano", "--drain-notice-seconds", "600"});
  EXPECT_THAT(server.request("GET /health"), HasSubstr("HTTP/1.1 200"));
  server.send_signal(SIGTERM);
  std::string health;
  do {
    health = server.request("GET /health");
  } while (health.find("HTTP/1.1 200") == 0);
  EXPECT_THAT(health, HasSubstr("HTTP/1.1 503"));
  EXPECT_THAT(health, HasSubstr("draining"));
  EXPECT_THAT(server.request("POST /v1/completions", R"({"prompt":"Hello","max_tokens":3})"),
              HasSubstr("HTTP/1.1 200"));
  Conversation kept(server.port());
  kept.send(fmt::format("GET /version HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", server.port()));
  EXPECT_THAT(kept.hear_all(), HasSubstr("connection: close"));
  EXPECT_TRUE(server.runs());
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

TEST(ServeMetrics, CountTheMemoryOfRequests) {
  RunningServer server({"-m", "nano", "--metrics", "--memory-limit", "150M"});
  const std::string seen = server.request("GET /metrics");
  EXPECT_GT(metric(seen, "qwen3_request_memory_bytes"), 0);
  const double limit = metric(seen, "qwen3_request_memory_limit_bytes");
  EXPECT_GT(limit, metric(seen, "qwen3_request_memory_bytes"));
  EXPECT_LT(limit, 150 << 20);
  EXPECT_EQ(metric(seen, "qwen3_request_memory_refused_total"), 0);
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

TEST(ServeBalancer, AsksForHealthUnderAnyNameAndForNothingElse) {
  const RunningServer server({"-m", "nano", "--metrics"});
  const auto ask = [&](const std::string& head, const std::string& host) {
    Conversation client(server.port());
    client.send(request_text(head, server.port(), {}, host));
    return client.hear_all();
  };
  for (const char* host : {"10.42.0.17:8000", "qwen3.default.svc", "LocalHost"}) {
    EXPECT_THAT(ask("GET /health", host), HasSubstr("HTTP/1.1 200")) << host;
    EXPECT_THAT(ask("GET /metrics", host), HasSubstr("HTTP/1.1 421")) << host;
    EXPECT_THAT(ask("GET /v1/models", host), HasSubstr("HTTP/1.1 421")) << host;
  }
  Conversation client(server.port());
  client.send("GET /health HTTP/1.0\r\n\r\n");  // HAProxy's httpchk
  EXPECT_THAT(client.hear_all(), HasSubstr(" 200 OK"));
}

TEST(ServeMetricsHost, IsAListenerOfItsOwn) {
  RunningServer server({"-m", "nano", "--metrics-host", "127.0.0.1:0"});
  const std::string& said = server.said();
  const std::string kWords = "metrics on http://127.0.0.1:";
  ASSERT_THAT(said, HasSubstr(kWords));
  const auto port =
      static_cast<uint16_t>(std::stoi(said.substr(said.find(kWords) + kWords.size())));
  const auto ask = [&](const std::string& head, const std::string& host = {}) {
    Conversation client(port);
    client.send(request_text(head, port, {}, host));
    return client.hear_all();
  };
  EXPECT_THAT(ask("GET /metrics", "collector.example"), HasSubstr("qwen3_num_requests_running"));
  EXPECT_THAT(ask("GET /health", "10.42.0.17"), HasSubstr("HTTP/1.1 200"));
  for (const char* head : {"GET /v1/models", "POST /v1/chat/completions", "GET /version"}) {
    EXPECT_THAT(ask(head), HasSubstr("HTTP/1.1 404")) << head;
  }
  EXPECT_THAT(server.request("GET /metrics"), HasSubstr("HTTP/1.1 404"));
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

TEST(ServeMetricsHost, RefusesWhatIsNoAddress) {
  for (const char* word :
       {"example.org", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "[::1", "[127.0.0.1]:1"}) {
    const ProgramResult result = run_qwen3({"serve", "--port", "0", "--metrics-host", word});
    EXPECT_EQ(result.exit_code, 1) << word;
    EXPECT_THAT(result.err, HasSubstr("--metrics-host")) << word;
  }
}

}  // namespace
}  // namespace qwen3::test
