// Bytes of one connected, non-blocking socket: plain here, or through TLS (tls.h).
#pragma once

#include <memory>
#include <span>
#include <string_view>

namespace qwen3::server {

struct IoResult {
  // wait_*: nothing moved; try again when the socket is readable or writable (TLS may want either
  // for both). end: the peer closed its sending side.
  enum class State { done, wait_readable, wait_writable, end, failed };
  State state = State::done;
  size_t bytes = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  // REQUIRES: a non-empty buffer. SIGPIPE is never raised.
  virtual IoResult read(std::span<char> into) = 0;
  virtual IoResult write(std::string_view bytes) = 0;
  // Bytes can be read although the socket is not readable.
  virtual bool pending() const { return false; }
  // Tells the peer that nothing more will come.
  virtual void shutdown_write() = 0;
};

std::unique_ptr<Transport> make_plain_transport(int fd);

// Makes close() reset the connection and drop what was not sent.
void reset_on_close(int fd);

}  // namespace qwen3::server
