// For the tests of the HTTP server: a server on a free port with a recording log, and a client that
// sends raw bytes.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "server/http/http_server.h"
#include "server/http/response.h"

namespace qwen3::server::testing {

using namespace std::chrono_literals;

// Long enough for a loaded machine; a test that works never waits so long.
inline constexpr std::chrono::milliseconds kPatience = 20s;

inline bool wait_for(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
  bool complete = false;                       // not cut off before its end

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

class RawClient {
 public:
  explicit RawClient(uint16_t port, bool v6 = false) { connect_to(port, v6); }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), received_(std::move(other.received_)) {}
  RawClient(const RawClient&) = delete;
  ~RawClient() { close(); }

  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  // False when the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // Closes with RST.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

  // One more read into received(). False at the end of the stream or after `patience`.
  bool receive(std::chrono::milliseconds patience = kPatience) {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return false;
    char buffer[65536];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n > 0) received_.append(buffer, static_cast<size_t>(n));
    if (n <= 0) ended_ = true;
    return n > 0;
  }
  bool receive_until(std::string_view text) {
    while (received_.find(text) == std::string::npos) {
      if (!receive()) return false;
    }
    return true;
  }
  // Everything until the server closes. False when it does not.
  bool receive_all() {
    while (receive()) {
    }
    return ended_;
  }
  std::string& received() { return received_; }
  bool ended() const { return ended_; }

  // The next whole answer, taken from what was received. `head_only`: to a HEAD request.
  std::optional<Answer> answer(bool head_only = false) {
    if (!receive_until("\r\n\r\n")) return std::nullopt;
    const size_t end = received_.find("\r\n\r\n");
    Answer out = parse_head(received_.substr(0, end));
    received_.erase(0, end + 4);
    if (out.status == 100) return out;
    if (head_only || out.status == 204 || out.status == 304) {
      out.complete = true;
    } else if (out.header("transfer-encoding") == "chunked") {
      out.complete = take_chunks(&out.body);
    } else if (const std::string length = out.header("content-length"); !length.empty()) {
      out.complete = take(static_cast<size_t>(std::stoull(length)), &out.body);
    } else {
      out.complete = receive_all();
      out.body = std::exchange(received_, {});
    }
    return out;
  }

 private:
  void connect_to(uint16_t port, bool v6) {
    fd_ = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = -1;
    if (v6) {
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(port);
      address.sin6_addr = in6addr_loopback;
      result = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } else {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      result = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
    if (result != 0) close();
  }

  static Answer parse_head(const std::string& head) {
    Answer out;
    const std::string_view text = head;
    if (text.size() > 12) std::from_chars(text.data() + 9, text.data() + 12, out.status);
    size_t pos = text.find("\r\n");
    while (pos != std::string_view::npos) {
      const size_t start = pos + 2;
      pos = text.find("\r\n", start);
      const std::string_view line = text.substr(start, pos - start);
      const size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      out.headers[ascii_lower(line.substr(0, colon))] = trim(line.substr(colon + 1));
    }
    return out;
  }

  bool take(size_t n, std::string* into) {
    while (received_.size() < n) {
      if (!receive()) return false;
    }
    into->append(received_, 0, n);
    received_.erase(0, n);
    return true;
  }

  bool take_chunks(std::string* into) {
    while (true) {
      if (!receive_until("\r\n")) return false;
      size_t size = 0;
      const char* const begin = received_.data();
      if (std::from_chars(begin, begin + received_.find("\r\n"), size, 16).ec != std::errc{}) {
        return false;
      }
      received_.erase(0, received_.find("\r\n") + 2);
      std::string end;
      if (!take(size, into) || !take(2, &end) || end != "\r\n") return false;
      if (size == 0) return true;
    }
  }

  int fd_ = -1;
  std::string received_;
  bool ended_ = false;
};

// The log of a server, readable while it runs.
class LogRecorder {
 public:
  std::function<void(std::string_view)> sink() {
    return [this](std::string_view line) {
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(line);
    };
  }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

inline HttpOptions test_options() {
  HttpOptions options;
  options.addresses = {"127.0.0.1"};
  options.port = 0;
  options.limits.linger_time = 200ms;  // clients here are slow to close
  return options;
}

// "Host: 127.0.0.1:PORT\r\n".
inline std::string host_line(uint16_t port) {
  return "Host: 127.0.0.1:" + std::to_string(port) + "\r\n";
}

inline std::string get(uint16_t port, std::string_view path, std::string_view headers = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\n" + host_line(port) + std::string(headers) +
         "\r\n";
}

inline std::string post(uint16_t port,
                        std::string_view path,
                        std::string_view body,
                        std::string_view headers = "") {
  return "POST " + std::string(path) + " HTTP/1.1\r\n" + host_line(port) +
         "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

// Health, an echo of what arrived, and whatever a test adds.
inline std::vector<Route> basic_routes() {
  std::vector<Route> routes;
  routes.push_back({.method = "GET",
                    .path = "/health",
                    .access = Route::Access::open,
                    .handler =
                        [](const HttpRequest&, std::shared_ptr<Exchange> exchange) {
                          exchange->send({.body = R"({"status":"ok"})"});
                        },
                    .quick = true});
  routes.push_back({.method = "POST",
                    .path = "/v1/echo",
                    .handler = [](const HttpRequest& request, std::shared_ptr<Exchange> exchange) {
                      exchange->send({.body = request.body});
                    }});
  routes.push_back({.method = "GET",
                    .path = "/v1/models/*",
                    .handler = [](const HttpRequest& request, std::shared_ptr<Exchange> exchange) {
                      exchange->send({.content_type = "text/plain", .body = request.tail});
                    }});
  return routes;
}

// Routes plus `handler` as POST /v1/stream and GET /v1/stream.
inline std::vector<Route> routes_with(Handler handler) {
  std::vector<Route> routes = basic_routes();
  routes.push_back({.method = "GET", .path = "/v1/stream", .handler = handler});
  routes.push_back({.method = "POST", .path = "/v1/stream", .handler = handler});
  return routes;
}

}  // namespace qwen3::server::testing
