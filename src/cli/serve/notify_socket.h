// What a service manager is told: that the server answers, and that it is about to end. The
// protocol is systemd's sd_notify: one datagram of lines NAME=VALUE for each message, to the socket
// that NOTIFY_SOCKET names. It is small enough to speak without a library.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string_view>

namespace qwen3::cli {

// Threads: the owner's.
class NotifySocket {
 public:
  // `name` is the value of NOTIFY_SOCKET: the path of a socket, or '@' and a name in the abstract
  // namespace; null or empty where no service manager asks, and then nothing is ever sent. Throws
  // Error{invalid_argument} for a name that cannot be one, Error{io} without a socket.
  explicit NotifySocket(const char* name);
  ~NotifySocket();
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  // Sends "READY=1" and the like. A manager that does not take it within a second is named on
  // stderr: the server goes on, whoever waits for the message finds the reason in the log.
  void send(std::string_view message) noexcept;

 private:
  int fd_ = -1;
  sockaddr_un address_{};
  socklen_t address_bytes_ = 0;
};

}  // namespace qwen3::cli
