// Everything that is decided about a request by its head alone, in one fixed order and in one
// place: target, Host and Origin, route, key, type and size of the body. Pure but for the count of
// wrong keys, so that the tests and the fuzzer ask it without a socket. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/http/auth.h"
#include "server/http/http.h"
#include "server/http/http_server.h"
#include "server/http/origin.h"
#include "server/http/request_parser.h"
#include "server/http/route_table.h"

namespace qwen3::server {

struct Peer {
  SocketAddress remote;
  SocketAddress local;
};

struct Verdict {
  std::optional<HttpResponse> answer;  // the front answers itself, nothing else below counts
  bool close = false;                  // after that answer, even if the request has no body
  const Route* route = nullptr;
  Target target;
  std::string tail;
  Client client;
  size_t most_body_bytes = 0;
  std::string allowed_origin;  // set for refusals too, so that the page can read why
};

class Gate {
 public:
  // Throws as RouteTable and OriginRules do. `options` must outlive the gate.
  Gate(const HttpOptions& options, std::vector<Route> routes);

  Verdict judge(const RequestHead& head,
                const Peer& peer,
                std::chrono::steady_clock::time_point now);

  const RouteTable& routes() const { return routes_; }

 private:
  HttpResponse no_such_path(const RequestHead& head, std::string_view path) const;
  std::optional<HttpResponse> find_route(const RequestHead& head, Verdict& verdict) const;
  std::optional<HttpResponse> check_key(const RequestHead& head,
                                        const Peer& peer,
                                        std::chrono::steady_clock::time_point now,
                                        Verdict& verdict);
  std::optional<HttpResponse> check_body(const RequestHead& head, Verdict& verdict) const;
  BodyLimit body_limit(const Route& route) const;

  const HttpOptions& options_;
  RouteTable routes_;
  OriginRules origin_;
  KeyRing keys_;
  FailureLimiter failures_;
};

// "application/json", alone or with charset=utf-8.
bool is_json_content_type(std::string_view value);

// The id of a request: the client's own x-request-id when it is plain, else a fresh one.
std::string choose_request_id(const RequestHead& head);

}  // namespace qwen3::server
