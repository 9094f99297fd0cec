// Every bound of the HTTP front in one place. The defaults stop a hostile client long before it
// costs memory or threads, and leave honest ones alone; the command line may change each.
#pragma once

#include <chrono>
#include <cstddef>

namespace qwen3::server {

struct ServerLimits {
  using Duration = std::chrono::milliseconds;

  // Sizes. A breach is answered 414, 431, 413 and the connection closes.
  size_t request_line_bytes = 4 * 1024;
  size_t header_bytes = 16 * 1024;  // request line and header lines together
  int header_lines = 64;
  size_t body_bytes = 4 * 1024 * 1024;
  size_t pipelined_bytes = 64 * 1024;  // read ahead while an answer is in progress
  // Of one stream, unread by its client, besides its largest piece; then it is cut.
  size_t output_bytes = 256 * 1024;

  // Time. Each phase has one deadline in total, not one per read.
  Duration head_time{10'000};
  Duration body_time{60'000};
  size_t body_bytes_per_second = 1024;  // asked for once body_grace has passed
  Duration body_grace{5'000};
  Duration idle_time{75'000};      // between two requests of one connection: more than a balancer's
  Duration write_stall{30'000};    // no byte taken from a full send buffer
  Duration flush_time{120'000};    // a complete answer is read to its end within this
  Duration ping_interval{15'000};  // of a silent event stream
  Duration linger_time{2'000};     // reads on after a refusal, so that the client sees it

  // Numbers.
  int requests_per_connection = 100;
  int connections = 1024;
  int connections_per_address = 64;  // loopback is exempt
  int refused_connections = 64;      // told 503 at the same time; further ones are just closed
  int backlog = 512;
  int failures_per_minute = 20;  // wrong keys from one address; then 429
};

}  // namespace qwen3::server
