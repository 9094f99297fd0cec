#include "server/api/trace_tickets.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

#include "base/sha256.h"

namespace qwen3::server {
namespace {

std::string random_ticket() {
  std::random_device device;
  std::string ticket;
  for (int word = 0; word < 8; ++word) {
    fmt::format_to(std::back_inserter(ticket), "{:08x}", static_cast<uint32_t>(device()));
  }
  return ticket;
}

}  // namespace

void TraceTickets::drop_old(Clock::time_point now) {
  while (!entries_.empty() && now - entries_.front().issued >= kLife) entries_.pop_front();
}

void TraceTickets::make_room(const std::string& client) {
  const auto is_theirs = [&](const Entry& entry) { return entry.trace.client.name == client; };
  if (std::ranges::count_if(entries_, is_theirs) >= kMostOfClient) {
    entries_.erase(std::ranges::find_if(entries_, is_theirs));
  }
  if (std::ssize(entries_) >= kMost) entries_.pop_front();
}

std::string TraceTickets::issue(std::string id, const Client& client, Clock::time_point now) {
  std::string ticket = random_ticket();
  Entry entry{sha256_hex(ticket), {std::move(id), client}, now};
  const std::lock_guard lock(mutex_);
  drop_old(now);
  make_room(client.name);
  entries_.push_back(std::move(entry));
  return ticket;
}

std::optional<TraceTickets::Trace> TraceTickets::redeem(std::string_view ticket,
                                                        Clock::time_point now) {
  const std::string digest = sha256_hex(ticket);
  const std::lock_guard lock(mutex_);
  drop_old(now);
  const auto found = std::ranges::find(entries_, digest, &Entry::digest);
  if (found == entries_.end()) return std::nullopt;
  Trace trace = std::move(found->trace);
  entries_.erase(found);
  return trace;
}

}  // namespace qwen3::server
