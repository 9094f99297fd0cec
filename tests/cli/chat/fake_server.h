// A server that answers what a test says, and keeps what it was asked: for clients of servers that are not ours.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace qwen3::test {

// "HTTP/1.1 200 OK … body", the connection closing after it.
inline std::string http_answer(const std::string& body,
                               const std::string& status = "200 OK",
                               const std::string& type = "application/json") {
  return "HTTP/1.1 " + status + "\r\nContent-Type: " + type + "\r\nConnection: close\r\n\r\n" +
         body;
}

class FakeServer {
 public:
  // `models` answers GET /v1/models, `chat` everything else.
  FakeServer(std::string models, std::string chat)
      : models_(std::move(models)), chat_(std::move(chat)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener_, any, size) != 0 || listen(listener_, 8) != 0 ||
        getsockname(listener_, any, &size) != 0) {
      throw std::runtime_error("cannot listen");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeServer() {
    stop_ = true;
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // Head and body of each request, in order.
  std::vector<std::string> requests() const {
    const std::lock_guard guard(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (!stop_) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      const std::string request = read_request(fd);
      {
        const std::lock_guard guard(mutex_);
        requests_.push_back(request);
      }
      const std::string& answer = request.starts_with("GET /v1/models ") ? models_ : chat_;
      static_cast<void>(::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL));
      shutdown(fd, SHUT_WR);
      std::array<char, 4096> rest;
      while (recv(fd, rest.data(), rest.size(), 0) > 0) {
      }
      close(fd);
    }
  }

  static std::string read_request(int fd) {
    std::string text;
    std::array<char, 4096> buffer;
    size_t wanted = std::string::npos;
    while (text.size() < wanted) {
      const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
      if (n <= 0) break;
      text.append(buffer.data(), static_cast<size_t>(n));
      const size_t head = text.find("\r\n\r\n");
      if (head == text.npos || wanted != std::string::npos) continue;
      const size_t length = text.find("Content-Length: ");
      wanted = head + 4 + (length < head ? std::stoul(text.substr(length + 16)) : 0);
    }
    return text;
  }

  const std::string models_, chat_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
};

}  // namespace qwen3::test
