#include "cli/serve/notify_socket.h"

#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/error.h"
#include "cli/console.h"

namespace qwen3::cli {
namespace {

constexpr size_t kLongestName = sizeof(sockaddr_un::sun_path) - 1;
constexpr timeval kNotifyPatience{1, 0};

}  // namespace

NotifySocket::NotifySocket(const char* name) {
  const std::string_view text = name == nullptr ? "" : name;
  if (text.empty()) return;
  QWEN3_CHECK((text.front() == '/' || text.front() == '@') && text.size() >= 2 &&
                  text.size() <= kLongestName,
              ErrorKind::invalid_argument,
              "NOTIFY_SOCKET: expected the absolute path of a socket, or @ and a name, of at most "
              "{} bytes; got '{}'; without a service manager, unset it",
              kLongestName,
              text.substr(0, kLongestName));
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path, text.data(), text.size());
  address_bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size());
  if (text.front() == '@') address_.sun_path[0] = '\0';
  fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  QWEN3_CHECK(fd_ >= 0, ErrorKind::io, "NOTIFY_SOCKET: no socket: {}", std::strerror(errno));
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &kNotifyPatience, sizeof kNotifyPatience);
}

NotifySocket::~NotifySocket() {
  if (fd_ >= 0) close(fd_);
}

void NotifySocket::send(std::string_view message) noexcept {
  if (fd_ < 0) return;
  const auto* to = reinterpret_cast<const sockaddr*>(&address_);
  const ssize_t n = sendto(fd_, message.data(), message.size(), MSG_NOSIGNAL, to, address_bytes_);
  if (n >= 0) return;
  print_error(
      fmt::format("qwen3 serve: the service manager was not told {}: {}; NOTIFY_SOCKET "
                  "names no socket that is read",
                  message.substr(0, message.find('\n')),
                  std::strerror(errno)));
}

}  // namespace qwen3::cli
