// qwen3 serve as a program under test: started, asked, killed.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cli/run_program.h"

namespace qwen3::test {

// One connection to a port of this machine.
class Conversation {
 public:
  explicit Conversation(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{60, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Conversation() { close(fd_); }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  bool connected() const { return connected_; }
  void send(const std::string& text) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // What came until now, `words` among it unless the server closed before.
  const std::string& hear(const std::string& words) {
    while (heard_.find(words) == std::string::npos && hear_more()) {
    }
    return heard_;
  }
  // Until the server closes.
  const std::string& hear_all() {
    while (hear_more()) {
    }
    return heard_;
  }

 private:
  bool hear_more() {
    std::array<char, 4096> buffer;
    const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
    EXPECT_FALSE(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) << "no answer in time";
    if (n > 0) heard_.append(buffer.data(), static_cast<size_t>(n));
    return n > 0;
  }

  const int fd_;
  bool connected_ = false;
  std::string heard_;
};

// "GET /health HTTP/1.1 ..." for a server on `port`; the connection closes after the answer.
inline std::string request_text(const std::string& head,
                                uint16_t port,
                                const std::string& body = {},
                                std::string host = {}) {
  if (host.empty()) host = "127.0.0.1:" + std::to_string(port);
  std::string text = head + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n";
  if (!body.empty()) {
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return text + "\r\n" + body;
}

enum class AccessLog { off, on };

// The server, ready to answer, on `port` (0: a free one).
class RunningServer {
 public:
  explicit RunningServer(std::vector<std::string> arguments = {},
                         uint16_t port = 0,
                         AccessLog log = AccessLog::off) {
    arguments.insert(
        arguments.begin(),
        {qwen3_binary().string(), "serve", "--port", std::to_string(port), "--host", "127.0.0.1"});
    if (log == AccessLog::off) arguments.push_back("--no-access-log");
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

  // The whole answer to one request.
  std::string request(const std::string& head, const std::string& body = {}) const {
    Conversation conversation(port_);
    EXPECT_TRUE(conversation.connected());
    conversation.send(request_text(head, port_, body));
    return conversation.hear_all();
  }

  uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }

  // The most memory that it has had, and now has, in bytes: a line of /proc/PID/status.
  int64_t memory(const std::string& key) const {
    std::ifstream status("/proc/" + std::to_string(child_) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1)) * 1024;
    }
    throw std::runtime_error("no " + key);
  }

  // What it said until it was ready.
  const std::string& said() const { return said_; }
  // What it says from now on, until these words and beyond; throws when it ends before.
  std::string hear(const std::string& words) {
    const size_t before = said_.size();
    read_until(words);
    return said_.substr(before);
  }

  // What it still says until it ends, by itself; then its exit code.
  std::pair<std::string, int> wait_for_end() {
    std::string rest;
    std::array<char, 4096> buffer;
    for (ssize_t n; (n = read(err_.fds[0], buffer.data(), buffer.size())) > 0;) {
      rest.append(buffer.data(), static_cast<size_t>(n));
    }
    return {rest, stop(0)};
  }

  void send_signal(int signal) const { kill(child_, signal); }
  // Whether it has not ended by itself.
  bool runs() const {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
  }

  // Sends the signal and returns the exit code, or minus the signal that ended it: SIGKILL when
  // it had to be ended after a minute.
  int stop(int signal) {
    kill(child_, signal);
    int status = 0;
    for (int i = 0; i < 6000 && runs(); ++i) usleep(10'000);
    if (runs()) kill(child_, SIGKILL);
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

}  // namespace qwen3::test
