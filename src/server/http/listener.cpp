#include "server/http/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <exception>

#include "base/error.h"
#include "base/json.h"
#include "server/http/http_server.h"

namespace qwen3::server {

namespace {

constexpr int kAcceptsPerTurn = 64;

std::vector<SocketAddress> parse_addresses(const HttpOptions& options) {
  std::vector<SocketAddress> out;
  for (const std::string& text : options.addresses) {
    if (text == "localhost") {
      out.push_back(*parse_address("127.0.0.1", options.port));
      out.push_back(*parse_address("::1", options.port));
      continue;
    }
    const auto address = parse_address(text, options.port);
    QWEN3_CHECK(address,
                ErrorKind::invalid_argument,
                "{} {}: expected a numeric address or localhost",
                options.address_option,
                quote_for_message(text));
    QWEN3_CHECK(address->loopback || !options.keys.empty() || options.keyless_network,
                ErrorKind::invalid_argument,
                "{} {}: would serve the network without keys; give --api-key-file, or listen "
                "on 127.0.0.1",
                options.address_option,
                text);
    out.push_back(*address);
  }
  QWEN3_CHECK(!out.empty(),
              ErrorKind::invalid_argument,
              "{}: expected an address, got none",
              options.address_option);
  return out;
}

// Returns no descriptor, and errno, when it does not work.
UniqueFd try_bind(const SocketAddress& address, int backlog) {
  UniqueFd fd(::socket(
      address.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!fd) return {};
  const int on = 1;
  // So that a restart need not wait for old connections to be forgotten.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.v6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  sockaddr_storage storage;
  const socklen_t size = to_sockaddr(address, &storage);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0 ||
      ::listen(fd.get(), backlog) != 0) {
    const int error = errno;
    fd.reset();
    errno = error;
    return {};
  }
  return fd;
}

bool is_missing_ipv6(const SocketAddress& address, int error) {
  return address.v6 && address.loopback && (error == EADDRNOTAVAIL || error == EAFNOSUPPORT);
}

// Empty when a free port chosen on the first address is taken on another: try a new one.
std::vector<ListeningSocket> bind_once(std::vector<SocketAddress> addresses,
                                       const HttpOptions& options) {
  std::vector<ListeningSocket> out;
  for (SocketAddress& address : addresses) {
    if (options.port == 0 && !out.empty()) address.port = out.front().address.port;
    UniqueFd fd = try_bind(address, options.limits.backlog);
    const int error = errno;
    if (!fd && is_missing_ipv6(address, error) && addresses.size() > 1) continue;
    if (!fd && options.port == 0 && error == EADDRINUSE) return {};
    QWEN3_CHECK(fd || error != EADDRINUSE,
                ErrorKind::io,
                "{} {}: port {} is taken (by another server?); choose another port, or 0 for a "
                "free one",
                options.address_option,
                address.address,
                address.port);
    QWEN3_CHECK(fd,
                ErrorKind::io,
                "{} {}: cannot listen on port {}: {}",
                options.address_option,
                address.address,
                address.port,
                std::strerror(error));
    SocketAddress bound = local_address(fd.get());
    out.push_back({std::move(fd), std::move(bound)});
  }
  return out;
}

}  // namespace

std::vector<ListeningSocket> bind_listeners(const HttpOptions& options) {
  const std::vector<SocketAddress> addresses = parse_addresses(options);
  for (int attempt = 0; attempt < 20; ++attempt) {
    auto sockets = bind_once(addresses, options);
    if (!sockets.empty()) return sockets;
  }
  fail(ErrorKind::io, "{}: no port is free on all addresses", options.address_option);
}

Listener::Listener(Lane& lane, UniqueFd fd, Events events)
    : lane_(lane), fd_(fd.get()), watch_(lane, std::move(fd)), events_(std::move(events)) {}

void Listener::start() {
  if (!closed_) watch_.when_readable(shared_from_this());
}

void Listener::close() {
  closed_ = true;
  watch_.close();
}

void Listener::on_readable() {
  for (int i = 0; i < kAcceptsPerTurn && !closed_; ++i) {
    const Step step = accept_one();
    if (step == Step::drained) break;
    if (step == Step::exhausted) {
      events_.exhausted();
      return rest();
    }
  }
  start();
}

// With no descriptor left, waiting for readiness would return at once, for ever. Clients stay in
// the backlog meanwhile.
void Listener::rest() noexcept {
  if (!closed_) lane_.call_later(shared_from_this());
}

Listener::Step Listener::accept_one() {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  UniqueFd fd(
      ::accept4(fd_, reinterpret_cast<sockaddr*>(&storage), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return hand_over(std::move(fd), storage);
  }
  switch (errno) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
      return Step::drained;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return Step::exhausted;
    default:
      return Step::accepted;  // that one connection failed (ECONNABORTED, EINTR …): go on
  }
}

Listener::Step Listener::hand_over(UniqueFd fd, const sockaddr_storage& from) {
  try {
    events_.accepted(std::move(fd), to_socket_address(from));
    return Step::accepted;
  } catch (const std::exception&) {
    return Step::exhausted;
  }
}

}  // namespace qwen3::server
