#include "server/responses/store.h"

#include <algorithm>
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
  size_t n = sizeof(StoredResponse) + id.capacity() + client.capacity() + response.capacity() +
             items.capacity();
  for (const auto& [item_id, json] : output) {
    n += sizeof(OutputItem) + item_id.capacity() + json.capacity();
  }
  return n;
}

void ResponseStore::drop_oldest() {
  n_bytes_ -= entries_.back().n_bytes;
  entries_.pop_back();
}

void ResponseStore::drop_expired(Clock::time_point now) {
  while (!entries_.empty() && now - entries_.back().kept >= options_.max_age) drop_oldest();
}

ResponseStore::Entries::iterator ResponseStore::at(const std::string& id, const Client& client) {
  return std::ranges::find_if(entries_, [&](const Entry& entry) {
    return entry.response->id == id && entry.response->client == client.name;
  });
}

void ResponseStore::keep(StoredResponse response, Clock::time_point now) {
  const size_t n_bytes = response.n_bytes();
  if (options_.count <= 0 || n_bytes > static_cast<size_t>(options_.bytes)) return;
  auto kept = std::make_shared<const StoredResponse>(std::move(response));
  const std::lock_guard lock(mutex_);
  drop_expired(now);
  entries_.push_front({std::move(kept), n_bytes, now});
  n_bytes_ += n_bytes;
  while (static_cast<int64_t>(entries_.size()) > options_.count ||
         n_bytes_ > static_cast<size_t>(options_.bytes)) {
    drop_oldest();
  }
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
  for (const Entry& entry : entries_) {
    if (entry.response->client != client.name) continue;
    for (const auto& [item_id, json] : entry.response->output) {
      if (item_id == id) return json;
    }
  }
  return std::nullopt;
}

bool ResponseStore::erase(const std::string& id, const Client& client, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  drop_expired(now);
  const auto found = at(id, client);
  if (found == entries_.end()) return false;
  n_bytes_ -= found->n_bytes;
  entries_.erase(found);
  return true;
}

size_t ResponseStore::n_bytes() const {
  const std::lock_guard lock(mutex_);
  return n_bytes_;
}

}  // namespace qwen3::server
