// Which server gets the next request: the one with the fewest under way, among those that are
// there. A server that cannot be reached, or says 503, is left alone for a while that doubles each
// time; then a single request tries it again. The clock is the caller's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace qwen3::eval {

// Random waits, so that many clients that failed together do not come back together: uniform
// between 0 and base * 2^n, at most `max` seconds.
class Backoff {
 public:
  Backoff(double base_seconds, double max_seconds);
  std::chrono::nanoseconds after(int64_t n_failures);  // n_failures >= 1

 private:
  double base_, max_;
  std::mt19937_64 random_;
};

class ServerPool {
 public:
  using Time = std::chrono::steady_clock::time_point;

  ServerPool(size_t n_servers, Backoff backoff, Time now);

  // Takes a place at a server; empty when all are away. Every pick ends with one of the three
  // below.
  std::optional<size_t> pick(Time now);
  void answered(size_t server, Time now);  // with anything over HTTP but 503
  void broke_off(size_t server);           // says nothing about the server
  // Not before `retry_after` (0: unknown).
  void away(size_t server, Time now, std::chrono::seconds retry_after);

  bool all_away() const;
  // When the next server that is away may be tried; empty when none waits for that.
  std::optional<Time> next_try() const;
  // When any server last answered (or the start).
  Time last_answer() const { return last_answer_; }

 private:
  struct Server {
    int64_t n_underway = 0;
    int64_t n_failures = 0;  // in a row; > 0: away
    bool trying = false;     // the single request is under way
    Time not_before{};
  };

  std::vector<Server> servers_;
  Backoff backoff_;
  Time last_answer_;
  size_t turn_ = 0;  // equals take turns
};

}  // namespace qwen3::eval
