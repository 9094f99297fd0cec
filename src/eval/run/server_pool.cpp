#include "eval/run/server_pool.h"

#include <algorithm>
#include <cmath>

namespace qwen3::eval {

Backoff::Backoff(double base_seconds, double max_seconds)
    : base_(base_seconds), max_(max_seconds), random_(std::random_device{}()) {}

std::chrono::nanoseconds Backoff::after(int64_t n_failures) {
  const auto doublings = static_cast<double>(std::clamp<int64_t>(n_failures - 1, 0, 40));
  const double longest = std::min(max_, base_ * std::exp2(doublings));
  const double seconds = std::uniform_real_distribution<double>(0, 1)(random_) * longest;
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

ServerPool::ServerPool(size_t n_servers, Backoff backoff, Time now)
    : servers_(n_servers), backoff_(backoff), last_answer_(now) {}

std::optional<size_t> ServerPool::pick(Time now) {
  std::optional<size_t> best;
  for (size_t i = 0; i < servers_.size(); ++i) {
    const size_t index = (turn_ + i) % servers_.size();
    const Server& server = servers_[index];
    const bool there = server.n_failures == 0 || (now >= server.not_before && !server.trying);
    if (there && (!best || server.n_underway < servers_[*best].n_underway)) best = index;
  }
  if (!best) return best;
  turn_ = (*best + 1) % servers_.size();
  Server& chosen = servers_[*best];
  ++chosen.n_underway;
  if (chosen.n_failures > 0) chosen.trying = true;
  return best;
}

void ServerPool::answered(size_t server, Time now) {
  --servers_[server].n_underway;
  servers_[server].n_failures = 0;
  servers_[server].trying = false;
  last_answer_ = now;
}

void ServerPool::broke_off(size_t server) {
  --servers_[server].n_underway;
  servers_[server].trying = false;
}

void ServerPool::away(size_t server, Time now, std::chrono::seconds retry_after) {
  Server& gone = servers_[server];
  --gone.n_underway;
  // Requests that fail together are one failure.
  if (gone.n_failures == 0 || gone.trying || now >= gone.not_before) {
    ++gone.n_failures;
    gone.not_before =
        now + std::max<std::chrono::nanoseconds>(retry_after, backoff_.after(gone.n_failures));
  }
  gone.trying = false;
}

bool ServerPool::all_away() const {
  return std::all_of(
      servers_.begin(), servers_.end(), [](const Server& server) { return server.n_failures > 0; });
}

std::optional<ServerPool::Time> ServerPool::next_try() const {
  std::optional<Time> first;
  for (const Server& server : servers_) {
    if (server.n_failures == 0 || server.trying) continue;
    if (!first || server.not_before < *first) first = server.not_before;
  }
  return first;
}

}  // namespace qwen3::eval
