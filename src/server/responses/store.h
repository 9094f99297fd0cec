// ResponseStore: the last responses, so that a client may fetch one and go on from it. Each belongs
// to the client that asked for it: for others it is not there. All of them together take no more
// than the options say; one that alone would take more is not kept. Thread safe.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "server/api/options.h"
#include "server/http/http.h"
#include "server/responses/writer.h"

namespace qwen3::server {

struct StoredResponse {
  std::string id;
  std::string client;    // Client::name
  std::string response;  // JSON
  std::string items;     // JSON list: the conversation that it answers
  std::vector<OutputItem> output = {};

  // JSON list: the items and the output.
  std::string conversation() const;
  size_t n_bytes() const;
};

class ResponseStore {
 public:
  using Found = std::shared_ptr<const StoredResponse>;  // null: not there

  explicit ResponseStore(const ResponseOptions& options) : options_(options) {}

  void keep(StoredResponse response, Clock::time_point now = Clock::now());
  Found find(const std::string& id, const Client& client, Clock::time_point now = Clock::now());
  // The JSON of an item of an answer.
  std::optional<std::string> find_item(const std::string& id,
                                       const Client& client,
                                       Clock::time_point now = Clock::now());
  // False when it was not there.
  bool erase(const std::string& id, const Client& client, Clock::time_point now = Clock::now());

  size_t n_bytes() const;

 private:
  struct Entry {
    Found response;
    size_t n_bytes;
    Clock::time_point kept;
  };
  using Entries = std::list<Entry>;

  // All under mutex_.
  void drop(Entries::iterator entry);
  void drop_expired(Clock::time_point now);
  Entries::iterator oldest_of_the_fullest();
  Entries::iterator at(const std::string& id, const Client& client);

  const ResponseOptions options_;
  mutable std::mutex mutex_;
  size_t n_bytes_ = 0;
  Entries entries_;  // newest first
  std::unordered_map<std::string, Entries::iterator> by_id_;
  std::unordered_map<std::string, Entries::iterator> by_item_;  // of an output
};

}  // namespace qwen3::server
