// API keys. Only their digests are kept. A candidate is hashed and compared with all of them
// without an early way out, so that time tells nothing about how much of a key was right.
#pragma once

#include <chrono>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/http/http.h"
#include "server/http/request_parser.h"

namespace qwen3::server {

struct ApiKey {
  std::string name;    // for logs: "key-1" where the file gives none
  std::string digest;  // SHA-256 of the key in hexadecimal
};

// Reads a key file: one key a line, "key" or "name:key", of at least 32 printable characters; empty
// lines and those that begin with '#' are skipped. Throws Error unless the file is a regular one of
// this user (or root) that no one else can read, and holds at least one key.
std::vector<ApiKey> read_key_file(const std::filesystem::path& path);

// Throws Error{invalid_argument}; `where` begins the message, which never shows the key.
ApiKey make_api_key(std::string_view name, std::string_view key, std::string_view where);

class KeyRing {
 public:
  explicit KeyRing(std::vector<ApiKey> keys);

  bool empty() const { return keys_.empty(); }
  // The owner of the one key in `Authorization: Bearer KEY` or, without that header, `x-api-key`.
  std::optional<Client> identify(const RequestHead& head) const;
  std::optional<Client> identify(std::string_view key) const;

 private:
  struct Entry {
    std::string digest;
    Client client;
  };
  std::vector<Entry> keys_;
};

// Counts wrong keys per network address in windows of a minute. A right key is never refused: a
// proxy's clients share an address, and guessing a key of 32 characters is hopeless anyway; what
// is bounded is the noise. Thread-safe, bounded memory.
class FailureLimiter {
 public:
  explicit FailureLimiter(int per_minute) : per_minute_(per_minute) {}

  // Records a failure. Returns the seconds to wait when there were too many, else 0.
  int record(const std::string& network, std::chrono::steady_clock::time_point now);

 private:
  struct Window {
    std::chrono::steady_clock::time_point start;
    int failures = 0;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, Window> windows_;
  std::chrono::steady_clock::time_point next_purge_;
  const int per_minute_;
};

}  // namespace qwen3::server
