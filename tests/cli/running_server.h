// qwen3 serve as a program under test: started, asked, killed.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cli/run_program.h"

namespace qwen3::test {

// The server, ready to answer, on `port` (0: a free one).
class RunningServer {
 public:
  explicit RunningServer(std::vector<std::string> arguments = {}, uint16_t port = 0) {
    arguments.insert(
        arguments.begin(),
        {qwen3_binary().string(), "serve", "--port", std::to_string(port), "--host", "127.0.0.1"});
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

}  // namespace qwen3::test
