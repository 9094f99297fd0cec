#include "server/http/transport.h"

#include <sys/socket.h>

#include <cerrno>

namespace qwen3::server {

namespace {

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(int fd) : fd_(fd) {}

  IoResult read(std::span<char> into) override {
    while (true) {
      const ssize_t n = ::recv(fd_, into.data(), into.size(), 0);
      if (n > 0) return {IoResult::State::done, static_cast<size_t>(n)};
      if (n == 0) return {IoResult::State::end, 0};
      if (errno == EINTR) continue;
      return {would_block() ? IoResult::State::wait_readable : IoResult::State::failed, 0};
    }
  }

  IoResult write(std::string_view bytes) override {
    while (true) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n >= 0) return {IoResult::State::done, static_cast<size_t>(n)};
      if (errno == EINTR) continue;
      return {would_block() ? IoResult::State::wait_writable : IoResult::State::failed, 0};
    }
  }

  void shutdown_write() override { ::shutdown(fd_, SHUT_WR); }

 private:
  static bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }

  int fd_;
};

}  // namespace

std::unique_ptr<Transport> make_plain_transport(int fd) {
  return std::make_unique<PlainTransport>(fd);
}

void reset_on_close(int fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace qwen3::server
