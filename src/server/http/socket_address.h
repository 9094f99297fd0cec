// An IP address and port as the text that logs and Host headers use, and what it means for trust.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct sockaddr;
struct sockaddr_storage;

namespace qwen3::server {

struct SocketAddress {
  std::string address;  // "127.0.0.1", "::1"
  uint16_t port = 0;
  bool v6 = false;
  bool loopback = false;

  // "127.0.0.1" or "[::1]": as in a URL.
  std::string host() const { return v6 ? "[" + address + "]" : address; }
  // "127.0.0.1:8080".
  std::string text() const { return host() + ":" + std::to_string(port); }
  // What limits per address count: the address, for IPv6 its /64 network.
  std::string network() const;
  // The same, written into `space` when it is not the address itself.
  using NetworkText = std::array<char, 64>;
  std::string_view network(NetworkText& space) const;
};

// An empty address for a family that is neither IPv4 nor IPv6.
SocketAddress to_socket_address(const sockaddr_storage& address);
SocketAddress remote_address(int fd);
SocketAddress local_address(int fd);

// A numeric address; nullopt for a name or anything else (names are not looked up).
std::optional<SocketAddress> parse_address(std::string_view text, uint16_t port);

// Fills `out` for bind(); returns the length.
unsigned int to_sockaddr(const SocketAddress& address, sockaddr_storage* out);

}  // namespace qwen3::server
