// An OpenAI-compatible server in a few lines, with every fault a test may want: one thread per
// connection, plain sockets, a port that the system picks.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.h"

namespace qwen3::test {

struct MockRequest {
  std::string method, path, head, body;
  int64_t number = 0;  // of the chat requests, from 0

  std::string prompt() const {
    return parse_json(body, "request")["messages"].back()["content"].get<std::string>();
  }
};

struct MockReply {
  int status = 200;
  std::string body = {};
  std::vector<std::string> headers = {};  // "Retry-After: 1"
  std::chrono::milliseconds delay{0};
  int64_t reset_after = -1;     // >= 0: the connection is reset after so many bytes of the body
  bool without_length = false;  // the end of the connection is the end of the body
};

inline std::string chat_body(const std::string& text, const std::string& finish = "stop") {
  return dump_json({{"object", "chat.completion"},
                    {"choices",
                     {{{"index", 0},
                       {"message", {{"role", "assistant"}, {"content", text}}},
                       {"finish_reason", finish}}}},
                    {"usage", {{"prompt_tokens", 7}, {"completion_tokens", 3}}}});
}

inline std::string error_body(const std::string& message) {
  return dump_json({{"error", {{"message", message}, {"type", "error"}}}});
}

class MockServer {
 public:
  // Of POST /v1/chat/completions and /v1/completions.
  using Handler = std::function<MockReply(const MockRequest&)>;

  explicit MockServer(Handler handler, uint16_t port = 0) : handler_(std::move(handler)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (bind(listener_, generic, size) != 0 || listen(listener_, 512) != 0 ||
        getsockname(listener_, generic, &size) != 0) {
      throw std::runtime_error("mock server: cannot listen");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  // Breaks off what is under way, as a server that is killed does.
  ~MockServer() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      wake_.notify_all();
      for (const int fd : connections_) shutdown(fd, SHUT_RDWR);
    }
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    close(listener_);
  }

  uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  int64_t n_chats() const { return n_chats_; }

 private:
  void accept_all() {
    while (!stopping_) {
      pollfd waiting{listener_, POLLIN, 0};
      if (poll(&waiting, 1, 20) <= 0) continue;
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      const std::lock_guard lock(mutex_);
      connections_.push_back(fd);
      threads_.emplace_back([this, fd] { serve(fd); });
    }
  }

  void serve(int fd) {
    std::string buffer;
    MockRequest request;
    while (!stopping_ && read_request(fd, buffer, request) && answer(fd, request)) {
    }
    const std::lock_guard lock(mutex_);
    connections_.remove(fd);
    close(fd);
  }

  static bool read_more(int fd, std::string& buffer) {
    char chunk[65536];
    const ssize_t n = recv(fd, chunk, sizeof chunk, 0);
    if (n > 0) buffer.append(chunk, static_cast<size_t>(n));
    return n > 0;
  }

  static bool read_request(int fd, std::string& buffer, MockRequest& request) {
    size_t end = buffer.npos;
    while ((end = buffer.find("\r\n\r\n")) == buffer.npos) {
      if (!read_more(fd, buffer)) return false;
    }
    request.head = buffer.substr(0, end + 2);
    size_t length = 0;
    const size_t at = request.head.find("Content-Length: ");
    if (at != request.head.npos) {
      for (size_t i = at + 16; request.head[i] >= '0' && request.head[i] <= '9'; ++i) {
        length = length * 10 + static_cast<size_t>(request.head[i] - '0');
      }
    }
    while (buffer.size() < end + 4 + length) {
      if (!read_more(fd, buffer)) return false;
    }
    request.body = buffer.substr(end + 4, length);
    buffer.erase(0, end + 4 + length);
    const size_t space = request.head.find(' ');
    request.method = request.head.substr(0, space);
    request.path = request.head.substr(space + 1, request.head.find(' ', space + 1) - space - 1);
    return true;
  }

  MockReply reply_to(MockRequest& request) {
    if (request.path.ends_with("/completions") && request.method == "POST") {
      request.number = n_chats_++;
      return handler_(request);
    }
    if (request.path.ends_with("/models")) {
      return {.body = R"({"object":"list","data":[{"id":"mock","max_model_len":4096}]})"};
    }
    return {.status = 404, .body = error_body("no such path")};
  }

  bool answer(int fd, MockRequest& request) {
    const MockReply reply = reply_to(request);
    if (reply.delay.count() > 0) {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, reply.delay, [this] { return stopping_.load(); });
    }
    std::string text = "HTTP/1.1 " + std::to_string(reply.status) + " Status\r\n";
    for (const std::string& header : reply.headers) text += header + "\r\n";
    text += "Content-Type: application/json\r\n";
    if (reply.without_length) {
      text += "Connection: close\r\n";
    } else {
      text += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    }
    text += "\r\n";
    const bool cut = reply.reset_after >= 0;
    text += cut ? reply.body.substr(0, static_cast<size_t>(reply.reset_after)) : reply.body;
    size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t n = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += static_cast<size_t>(n);
    }
    if (cut) {
      const linger at_once{1, 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    return !cut && !reply.without_length;
  }

  Handler handler_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> n_chats_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<int> connections_;
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace qwen3::test
