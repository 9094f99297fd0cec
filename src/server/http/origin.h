// Which Host and Origin a request may carry. A web page that a browser on this machine has open can
// send requests to loopback; what it cannot do is lie in these headers. So the Host must be a name
// of this server (a rebound DNS name is none), and the Origin must be absent, this server, or one
// that the operator named. Comparison is of whole strings, never of ends, and without case, as
// names have none (RFC 9110, 4.2.3). Routes that show nothing of anybody take a probe under any
// Host: the balancer's or orchestrator's, which goes by addresses that this server does not know.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/request_parser.h"
#include "server/http/socket_address.h"

namespace qwen3::server {

class OriginRules {
 public:
  // allow_hosts: "name", or "name:port" for a port other than the server's; "*" any. The ports 80
  // and 443, which clients leave out, may stand or not. allow_origins: "https://app.example.org";
  // "*" any. Throws Error{invalid_argument} for an entry that cannot match, and for "*" without
  // keys.
  OriginRules(std::vector<std::string> allow_hosts,
              std::vector<std::string> allow_origins,
              bool has_keys,
              bool tls);

  struct Finding {
    int status = 0;  // 0: fine
    std::string message;
    std::string allowed_origin;  // for the CORS header, when the Origin is a named one
  };
  // `authority` is that of an absolute-form target, or "". `any_host`: of the route.
  Finding check(const RequestHead& head,
                std::string_view authority,
                const SocketAddress& local,
                bool any_host) const;

 private:
  Finding check_host(const RequestHead& head,
                     std::string_view authority,
                     const SocketAddress& local,
                     bool any_host) const;
  Finding check_origin(const RequestHead& head) const;
  bool host_allowed(std::string_view host_as_sent, const SocketAddress& local) const;

  std::vector<std::string> allow_hosts_;    // in lower case
  std::vector<std::string> allow_origins_;  // as browsers write them
  bool any_host_ = false;
  bool any_origin_ = false;
  bool tls_;
};

}  // namespace qwen3::server
