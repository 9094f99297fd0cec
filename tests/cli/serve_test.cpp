// qwen3 serve as its users see it: the real binary, real sockets, real signals.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

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

}  // namespace
}  // namespace qwen3::test
