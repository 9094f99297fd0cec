#include "server/http/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace qwen3::server {

namespace {

bool is_loopback(const in_addr& a) { return (ntohl(a.s_addr) >> 24) == 127; }

bool is_loopback(const in6_addr& a) { return IN6_IS_ADDR_LOOPBACK(&a) != 0; }

SocketAddress from_v4(const in_addr& a, uint16_t port) {
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &a, text, sizeof text);
  return {.address = text, .port = port, .v6 = false, .loopback = is_loopback(a)};
}

SocketAddress from_v6(const in6_addr& a, uint16_t port) {
  if (IN6_IS_ADDR_V4MAPPED(&a)) {
    in_addr v4;
    std::memcpy(&v4, a.s6_addr + 12, sizeof v4);
    return from_v4(v4, port);
  }
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(AF_INET6, &a, text, sizeof text);
  return {.address = text, .port = port, .v6 = true, .loopback = is_loopback(a)};
}

}  // namespace

std::string SocketAddress::network() const {
  NetworkText space;
  return std::string(network(space));
}

std::string_view SocketAddress::network(NetworkText& space) const {
  static constexpr std::string_view kPrefix = "/64";
  static_assert(INET6_ADDRSTRLEN + kPrefix.size() <= std::tuple_size_v<NetworkText>);
  in6_addr a;
  if (!v6 || inet_pton(AF_INET6, address.c_str(), &a) != 1) return address;
  std::memset(a.s6_addr + 8, 0, 8);
  inet_ntop(AF_INET6, &a, space.data(), space.size());
  const size_t length = std::strlen(space.data());
  kPrefix.copy(space.data() + length, kPrefix.size());
  return {space.data(), length + kPrefix.size()};
}

SocketAddress to_socket_address(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    return from_v4(v4.sin_addr, ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    return from_v6(v6.sin6_addr, ntohs(v6.sin6_port));
  }
  return {};
}

SocketAddress remote_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return to_socket_address(storage);
}

SocketAddress local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return to_socket_address(storage);
}

std::optional<SocketAddress> parse_address(std::string_view text, uint16_t port) {
  const std::string copy(text);
  in_addr v4;
  if (inet_pton(AF_INET, copy.c_str(), &v4) == 1) return from_v4(v4, port);
  in6_addr v6;
  if (inet_pton(AF_INET6, copy.c_str(), &v6) == 1) {
    // A mapped IPv4 address is bound under its IPv4 name.
    return from_v6(v6, port);
  }
  return std::nullopt;
}

unsigned int to_sockaddr(const SocketAddress& address, sockaddr_storage* out) {
  std::memset(out, 0, sizeof *out);
  if (address.v6) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    inet_pton(AF_INET6, address.address.c_str(), &v6.sin6_addr);
    std::memcpy(out, &v6, sizeof v6);
    return sizeof v6;
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(address.port);
  inet_pton(AF_INET, address.address.c_str(), &v4.sin_addr);
  std::memcpy(out, &v4, sizeof v4);
  return sizeof v4;
}

}  // namespace qwen3::server
