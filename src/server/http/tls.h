// TLS for connections: OpenSSL over the same non-blocking sockets. The handshake happens inside the
// first reads, within the deadline of the first request's head.
#pragma once

#include <memory>
#include <string>

#include "server/http/transport.h"

namespace qwen3::server {

class TlsContext {
 public:
  // PEM files: the certificate with its chain, and its key. Throws Error{invalid_argument} when
  // they cannot be used together.
  TlsContext(const std::string& certificate, const std::string& key);
  ~TlsContext();
  TlsContext(TlsContext&&) = delete;

  // `fd` must outlive the transport. Throws Error{out_of_memory}.
  std::unique_ptr<Transport> make_transport(int fd) const;

 private:
  void* context_;  // SSL_CTX
};

}  // namespace qwen3::server
