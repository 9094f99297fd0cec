// The HTTP/1.1 server of `qwen3 serve`: listens, keeps hostile clients within limits.h, and hands
// whole requests to the handlers of its route table (http.h).
//
//   listeners ──> lanes (I/O threads; each connection lives on one)
//                   │ whole, checked request
//                   └──> workers (handlers) ── Exchange ──> the connection's lane
//
// The library prints nothing: log lines go to `access_log`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/auth.h"
#include "server/http/http.h"
#include "server/http/limits.h"

namespace qwen3::server {

struct HttpOptions {
  // Numeric addresses, or "localhost" for both loopbacks. Others than loopback need keys. The
  // IPv6 loopback is left out on a machine without it.
  std::vector<std::string> addresses = {"127.0.0.1", "::1"};
  uint16_t port = 8080;  // 0: a free one, the same on all addresses
  // What messages call the addresses.
  std::string address_option = "--host";
  // Lets other addresses than loopback do without keys. Only for routes that are all any_host.
  bool keyless_network = false;

  std::vector<ApiKey> keys;                // none: every route is open
  std::vector<std::string> allow_hosts;    // see OriginRules
  std::vector<std::string> allow_origins;  // see OriginRules
  std::string tls_certificate;             // PEM files; both or none
  std::string tls_key;

  int io_threads = 2;
  int worker_threads = 2;
  // For what requests hold and for the work on them (request_memory.h); until set_request_memory().
  int64_t request_memory_bytes = 512 << 20;
  ServerLimits limits;

  // What to say of a path that no row has, behind "no such path: "; empty: nothing. Any thread.
  std::function<std::string(std::string_view path)> hint;

  // Gets one JSON object in one line, without its end, for each request. Called by several threads,
  // one at a time. Must not throw.
  std::function<void(std::string_view line)> access_log;
};

struct HttpCounters {
  int64_t connections_open = 0;
  int64_t connections_accepted = 0;
  int64_t connections_refused = 0;  // over a limit, or no descriptor left
  int64_t requests = 0;             // answered, by a handler or by the front
  int64_t exchanges_open = 0;       // handlers' answers in progress
  int64_t bytes_sent = 0;
  int64_t disconnects = 0;            // clients that left before their answer was complete
  int64_t request_bytes = 0;          // that requests hold now
  int64_t request_bytes_limit = 0;    // that they may hold
  int64_t request_bytes_refused = 0;  // how often there was no room
};

class HttpServer {
 public:
  // Binds, starts the threads and accepts. Throws Error{invalid_argument} for options that are not
  // safe or make no sense, Error{io} when an address cannot be bound.
  HttpServer(HttpOptions options, std::vector<Route> routes);
  // stop(0).
  ~HttpServer();

  uint16_t port() const;
  // What listens, as "127.0.0.1:8080".
  std::vector<std::string> addresses() const;

  // When it is known how much memory there is for requests: see RequestMemory::set_total().
  void set_request_memory(int64_t bytes);

  // From now on every answer says "connection: close", so that who keeps connections open goes
  // elsewhere by itself. Any thread.
  void announce_end();

  // True from the beginning of stop(): for the handler of readiness. Any thread.
  bool draining() const;
  HttpCounters counters() const;

  // Closes the listeners at once and idle connections with them; requests in flight continue for
  // `grace`, new ones get 503. What is not over by then gets a last error event or 503. Returns
  // when every connection and thread is gone; handlers must return for that. A second call, by
  // another thread, can only shorten the grace. Not from a handler.
  void stop(std::chrono::milliseconds grace);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qwen3::server
