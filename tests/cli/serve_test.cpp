// qwen3 serve as its users see it: the real binary, real sockets, real signals.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>
#include <utility>

#include "cli/run_program.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;

// The server on a free port, ready to answer.
class RunningServer {
 public:
  explicit RunningServer(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(),
                     {qwen3_binary().string(), "serve", "--port", "0", "--host", "127.0.0.1"});
    arguments.push_back("--no-access-log");  // nobody reads what it says while it serves
    child_ = fork();
    if (child_ == 0) detail::exec_child(arguments, in_, out_, err_);
    in_.close_end(0);
    out_.close_end(1);
    err_.close_end(1);
    read_until("ready: ");
    const size_t at = said_.find("http://127.0.0.1:") + 17;
    port_ = static_cast<uint16_t>(std::stoi(said_.substr(at)));
  }
  ~RunningServer() {
    if (child_ > 0) stop(SIGKILL);
  }

  // The whole answer to one request; the connection closes behind it.
  std::string request(const std::string& head, const std::string& body = {}) const {
    const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    std::string text = head + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port_) +
                       "\r\nConnection: close\r\n";
    if (!body.empty()) {
      text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n";
    }
    text += "\r\n" + body;
    EXPECT_EQ(send(socket_fd, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    std::string answer;
    std::array<char, 4096> buffer;
    for (ssize_t n; (n = recv(socket_fd, buffer.data(), buffer.size(), 0)) > 0;) {
      answer.append(buffer.data(), static_cast<size_t>(n));
    }
    close(socket_fd);
    return answer;
  }

  // The most memory that it has had, and now has, in bytes: a line of /proc/PID/status.
  int64_t memory(const std::string& key) const {
    std::ifstream status("/proc/" + std::to_string(child_) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1)) * 1024;
    }
    throw std::runtime_error("no " + key);
  }

  const std::string& said() const { return said_; }

  // What it still says until it ends, by itself; then its exit code.
  std::pair<std::string, int> wait_for_end() {
    std::string rest;
    std::array<char, 4096> buffer;
    for (ssize_t n; (n = read(err_.fds[0], buffer.data(), buffer.size())) > 0;) {
      rest.append(buffer.data(), static_cast<size_t>(n));
    }
    return {rest, stop(0)};
  }

  // Sends the signal and returns the exit code, or minus the signal that ended it.
  int stop(int signal) {
    kill(child_, signal);
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  void read_until(const std::string& word) {
    std::array<char, 4096> buffer;
    while (said_.find(word) == std::string::npos) {
      const ssize_t n = read(err_.fds[0], buffer.data(), buffer.size());
      if (n <= 0) throw std::runtime_error("the server ended: " + said_);
      said_.append(buffer.data(), static_cast<size_t>(n));
    }
  }

  detail::Pipe in_, out_, err_;
  pid_t child_ = -1;
  uint16_t port_ = 0;
  std::string said_;
};

TEST(Serve, AnswersAChatAndEndsOnSigterm) {
  RunningServer server({"-m", "nano"});
  EXPECT_THAT(server.request("GET /health"), HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(server.request("GET /v1/models"), HasSubstr(R"("id":"nano")"));
  const std::string answer = server.request(
      "POST /v1/chat/completions",
      R"({"model":"nano","temperature":0,"messages":[{"role":"user","content":"What is 3 + 4?"}]})");
  EXPECT_THAT(answer, HasSubstr("3 + 4 = 7"));
  EXPECT_THAT(answer, HasSubstr(R"("finish_reason":"stop")"));
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

TEST(Serve, StreamsAndEndsWithDone) {
  const RunningServer server({"-m", "nano-moe", "--served-model-name", "a", "b"});
  const std::string answer = server.request(
      "POST /v1/chat/completions",
      R"({"model":"b","stream":true,"max_tokens":4,"messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_THAT(answer, HasSubstr("text/event-stream"));
  EXPECT_THAT(answer, HasSubstr(R"("model":"a")"));
  EXPECT_THAT(answer, HasSubstr("data: [DONE]"));
}

TEST(Serve, RefusesWhatIsNotSafe) {
  const ProgramResult open = run_qwen3({"serve", "--host", "0.0.0.0", "--port", "0"});
  EXPECT_EQ(open.exit_code, 1);
  EXPECT_THAT(open.err, HasSubstr("key"));
  EXPECT_EQ(lines_of(open.err).size(), 1u) << open.err;
  EXPECT_EQ(run_qwen3({"serve", "--port", "65536"}).exit_code, 2);
  const ProgramResult keys = run_qwen3({"serve", "--port", "0", "--api-key-file", "/nonexistent"});
  EXPECT_EQ(keys.exit_code, 1);
  EXPECT_THAT(keys.err, HasSubstr("/nonexistent"));
}

TEST(Serve, AModelThatCannotBeLoadedEndsIt) {
  const ProgramResult result = run_qwen3({"serve", "--port", "0", "-m", "/nonexistent"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/nonexistent"));
}

// The parts of the sum, all of them, before a byte of weights is loaded.
TEST(Serve, AMemoryLimitThatIsTooSmallIsRefusedWithTheSum) {
  const ProgramResult weights = run_qwen3({"serve", "--port", "0", "--memory-limit", "16M"});
  EXPECT_EQ(weights.exit_code, 1);
  for (const char* part : {"--memory-limit: program ",
                           " + weights ",
                           " + work buffers ",
                           " + reserve ",
                           " + KV cache ",
                           " = ",
                           "expected at most 16.8 MB",
                           "lower --max-batch-tokens or --max-sequences, or raise the limit"}) {
    EXPECT_THAT(weights.err, HasSubstr(part));
  }
  EXPECT_THAT(weights.err, testing::Not(HasSubstr("ready")));
  // A little more holds the smallest context that is of use, not half of it.
  const RunningServer least({"-m", "nano", "--memory-limit", "30M"});
  EXPECT_THAT(least.said(),
              testing::ContainsRegex("context (5[1-9][0-9]|[6-9][0-9]{2}|1[0-9]{3}|2048) tokens"));
  const ProgramResult cache =
      run_qwen3({"serve", "--port", "0", "--memory-limit", "200M", "--kv-cache-size", "1G"});
  EXPECT_EQ(cache.exit_code, 1);
  EXPECT_THAT(cache.err, HasSubstr("lower --kv-cache-size, "));
  EXPECT_EQ(run_qwen3({"serve", "--memory-limit", "much"}).exit_code, 2);
  EXPECT_EQ(run_qwen3({"serve", "--memory-limit", "-1"}).exit_code, 2);
}

// All of the process, the pages of the program's own file left out, which nobody has to keep in
// memory, stays below the limit and a twentieth with every place in the batch and the whole cache
// in use.
TEST(Serve, KeepsToItsMemoryLimit) {
  constexpr int64_t kLimit = 96 << 20;
  const RunningServer server(
      {"-m", "nano-moe", "--memory-limit", "96M", "--max-waiting-tokens", "0"});
  EXPECT_THAT(server.said(), HasSubstr("memory: program "));
  std::vector<std::thread> clients;
  std::atomic<int> n_answers = 0;
  for (int client = 0; client < 24; ++client) {
    clients.emplace_back([&, client] {
      std::string text;
      for (int i = 0; i < 250; ++i) text += " " + std::to_string((i * 7 + client) % 10);
      const std::string answer =
          server.request("POST /v1/completions",
                         R"({"prompt":")" + text + R"(","max_tokens":8,"ignore_eos":true,"n":2})");
      if (answer.find("HTTP/1.1 200") == 0) ++n_answers;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(n_answers, 24);
  EXPECT_LE(server.memory("RssAnon"), kLimit + kLimit / 20);
  EXPECT_LE(server.memory("VmHWM") - server.memory("RssFile"), kLimit + kLimit / 20);
}

// A step of the slowest backend that computes a long prompt at once.
TEST(Serve, AStepThatHangsEndsItWithStacks) {
  RunningServer server({"-m",
                        "nano-moe",
                        "--backend",
                        "reference",
                        "--max-batch-tokens",
                        "2048",
                        "--step-seconds",
                        "1"});
  std::string text;
  for (int i = 0; i < 1900; ++i) text += "a ";
  std::thread client([&] {
    server.request("POST /v1/completions", R"({"prompt":")" + text + R"(","max_tokens":1})");
  });
  const auto [said, exit_code] = server.wait_for_end();
  client.join();
  EXPECT_EQ(exit_code, 1);
  EXPECT_THAT(
      said, testing::ContainsRegex("a step of the engine runs for [0-9]+ s; expected at most 1 s"));
  EXPECT_THAT(said, HasSubstr("--step-seconds"));
  EXPECT_THAT(said, HasSubstr("thread "));
  EXPECT_THAT(said, HasSubstr("(qwen3+0x"));
  // The one that computes is there by name.
  EXPECT_THAT(said, HasSubstr("qwen3::Qwen3::forward")) << said;
}

}  // namespace
}  // namespace qwen3::test
