// Listening sockets: binding with the checks that keep an unguarded server off the network, and
// accepting without spinning when the process has no descriptor or memory left. A listener listens
// until it is closed: whatever fails costs the connection that was being accepted, no more.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "server/http/lane.h"
#include "server/http/socket_address.h"

namespace qwen3::server {

struct HttpOptions;

struct ListeningSocket {
  UniqueFd fd;
  SocketAddress address;
};

// Binds all of options.addresses to one port. Throws Error.
std::vector<ListeningSocket> bind_listeners(const HttpOptions& options);

// Accepts on one socket, on a lane. Touched by that lane's thread only.
class Listener final : public Resident, public std::enable_shared_from_this<Listener> {
 public:
  struct Events {
    // An exception closes that connection; the listener rests for a tick.
    std::function<void(UniqueFd, const SocketAddress&)> accepted;
    std::function<void()> exhausted;  // no descriptor or memory for another one just now
  };
  Listener(Lane& lane, UniqueFd fd, Events events);

  void start();
  void close();
  void on_readable() override;
  void on_later() override { start(); }
  void on_failure() noexcept override { rest(); }

 private:
  enum class Step { accepted, drained, exhausted };
  Step accept_one();
  Step hand_over(UniqueFd fd, const sockaddr_storage& from);
  void rest() noexcept;

  Lane& lane_;
  int fd_;
  Watch watch_;
  Events events_;
  bool closed_ = false;
};

}  // namespace qwen3::server
