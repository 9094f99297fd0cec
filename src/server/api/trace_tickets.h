// Tickets: how a page that holds a key opens the report of a trace in a tab of its own. A browser sends no
// key from its address bar, and a key in an address would stay in histories and logs. A ticket opens one
// trace of one client, once, within a minute. Any thread.
#pragma once

#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "server/http/http.h"

namespace qwen3::server {

class TraceTickets {
 public:
  static constexpr std::chrono::seconds kLife{60};
  // Beyond, the oldest are good for nothing any more: of the client, then of all.
  static constexpr int64_t kMostOfClient = 16;
  static constexpr int64_t kMost = 1024;

  struct Trace {
    std::string id;
    Client client;
  };

  // A new ticket: 64 hexadecimal digits of chance.
  std::string issue(std::string id, const Client& client, Clock::time_point now = Clock::now());
  // What it opens, and no second time. Absent: none, used, too old.
  std::optional<Trace> redeem(std::string_view ticket, Clock::time_point now = Clock::now());

 private:
  struct Entry {
    std::string digest;  // SHA-256: how long the search takes says nothing of a ticket
    Trace trace;
    Clock::time_point issued;
  };
  void drop_old(Clock::time_point now);       // under mutex_
  void make_room(const std::string& client);  // under mutex_

  std::mutex mutex_;
  std::deque<Entry> entries_;  // oldest first
};

}  // namespace qwen3::server
