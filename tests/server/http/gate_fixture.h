// What the tests of the gate share: a server's routes, and its judgement of a head.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/http/gate.h"
#include "server/http/support.h"

namespace qwen3::server::testing {

inline const std::string kAlice(40, 'a');
inline const std::string kBob = "bob-0123456789-0123456789-0123456789";

inline HttpOptions keyed_options() {
  HttpOptions options = test_options();
  options.keys = {make_api_key("alice", kAlice, "test"), make_api_key("bob", kBob, "test")};
  return options;
}

// What a server has: open and keyed rows, exact ones and one with a tail, a path of two methods.
inline std::vector<Route> full_routes() {
  const Handler handler = [](const HttpRequest&, std::shared_ptr<Exchange> e) { e->send({}); };
  std::vector<Route> routes;
  const auto add = [&](std::string method, std::string path, Route::Access access) {
    routes.push_back({.method = std::move(method),
                      .path = std::move(path),
                      .access = access,
                      .handler = handler});
  };
  add("GET", "/", Route::Access::open);
  add("GET", "/health", Route::Access::open);
  for (const char* path : {"/v1/models", "/v1/models/*", "/metrics", "/v1/jobs"}) {
    add("GET", path, Route::Access::keyed);
  }
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/tokenize", "/v1/jobs"}) {
    add("POST", path, Route::Access::keyed);
  }
  return routes;
}

inline Peer loopback_peer() {
  return {.remote = *parse_address("127.0.0.1", 5000), .local = *parse_address("127.0.0.1", 8080)};
}

// Parses `raw` as a connection would; a head that does not parse is refused.
inline std::optional<Verdict> judge(Gate& gate,
                                    std::string raw,
                                    const Peer& peer = loopback_peer()) {
  const ServerLimits limits;
  RequestParser parser(limits);
  if (parser.read_head(raw) != RequestParser::Progress::done) return std::nullopt;
  return gate.judge(parser.head(), peer, std::chrono::steady_clock::now());
}

inline int status_of(const std::optional<Verdict>& verdict) {
  if (!verdict) return 400;
  return verdict->answer ? verdict->answer->status : 0;  // 0: goes to the handler
}

}  // namespace qwen3::server::testing
