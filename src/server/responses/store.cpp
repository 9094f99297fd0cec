#include "server/responses/store.h"

#include <iterator>
#include <utility>

namespace qwen3::server {

std::string StoredResponse::conversation() const {
  std::string list = items.substr(0, items.size() - 1);
  for (const auto& [item_id, json] : output) {
    if (list.size() > 1) list += ',';
    list += json;
  }
  return list + "]";
}

size_t StoredResponse::n_bytes() const {
  constexpr size_t kIndexEntry = 96;  // a node of a map, with its key
  size_t n = sizeof(StoredResponse) + kIndexEntry + id.capacity() + client.capacity() +
             response.capacity() + items.capacity();
  for (const auto& [item_id, json] : output) {
    n += sizeof(OutputItem) + kIndexEntry + item_id.capacity() + json.capacity();
  }
  return n;
}

void ResponseStore::drop(Entries::iterator entry) {
  n_bytes_ -= entry->n_bytes;
  for (const auto& [item_id, json] : entry->response->output) by_item_.erase(item_id);
  by_id_.erase(entry->response->id);
  entries_.erase(entry);
}

void ResponseStore::drop_expired(Clock::time_point now) {
  while (!entries_.empty() && now - entries_.back().kept >= options_.max_age) {
    drop(std::prev(entries_.end()));
  }
}

ResponseStore::Entries::iterator ResponseStore::at(const std::string& id, const Client& client) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || found->second->response->client != client.name) {
    return entries_.end();
  }
  return found->second;
}

// Ids are the server's own, so no two are the same.
void ResponseStore::keep(StoredResponse response, Clock::time_point now) {
  const size_t n_bytes = response.n_bytes();
  if (options_.count <= 0 || n_bytes > static_cast<size_t>(options_.bytes)) return;
  auto kept = std::make_shared<const StoredResponse>(std::move(response));
  const std::lock_guard lock(mutex_);
  drop_expired(now);
  entries_.push_front({std::move(kept), n_bytes, now});
  n_bytes_ += n_bytes;
  const StoredResponse& newest = *entries_.front().response;
  by_id_.emplace(newest.id, entries_.begin());
  for (const auto& [item_id, json] : newest.output) by_item_.emplace(item_id, entries_.begin());
  while (std::ssize(entries_) > options_.count || n_bytes_ > static_cast<size_t>(options_.bytes)) {
    drop(oldest_of_the_fullest());
  }
}

// Of the client that has the most: who keeps much does not push out what others keep.
ResponseStore::Entries::iterator ResponseStore::oldest_of_the_fullest() {
  std::unordered_map<std::string_view, size_t> counts;
  for (const Entry& entry : entries_) ++counts[entry.response->client];
  Entries::iterator found = entries_.begin();
  size_t most = 0;
  for (auto at = entries_.end(); at != entries_.begin();) {
    --at;
    const size_t count = counts[at->response->client];
    if (count <= most) continue;
    most = count;
    found = at;
  }
  return found;
}

ResponseStore::Found ResponseStore::find(const std::string& id,
                                         const Client& client,
                                         Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  drop_expired(now);
  const auto found = at(id, client);
  return found == entries_.end() ? nullptr : found->response;
}

std::optional<std::string> ResponseStore::find_item(const std::string& id,
                                                    const Client& client,
                                                    Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  drop_expired(now);
  const auto found = by_item_.find(id);
  if (found == by_item_.end() || found->second->response->client != client.name) {
    return std::nullopt;
  }
  for (const auto& [item_id, json] : found->second->response->output) {
    if (item_id == id) return json;
  }
  return std::nullopt;
}

bool ResponseStore::erase(const std::string& id, const Client& client, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  drop_expired(now);
  const auto found = at(id, client);
  if (found == entries_.end()) return false;
  drop(found);
  return true;
}

size_t ResponseStore::n_bytes() const {
  const std::lock_guard lock(mutex_);
  return n_bytes_;
}

}  // namespace qwen3::server
