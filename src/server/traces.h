// TraceStore: the records of requests that asked for one (`"trace": true`), the newest ones. A
// trace goes by the id of its answer and belongs to the client that asked. Thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "trace/summary.h"

namespace qwen3::server {

struct StoredTrace {
  std::string id;      // of the answer: "chatcmpl-…"
  std::string client;  // Client::name
  int64_t created = 0, prompt_tokens = 0, completion_tokens = 0;
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
  // After its request's last event: read only.
  std::shared_ptr<const RequestRecorder> recorder;
};

class TraceStore {
 public:
  explicit TraceStore(size_t capacity) : capacity_(capacity) {}

  bool enabled() const { return capacity_ > 0; }
  // The oldest one makes room.
  void keep(StoredTrace trace);
  // recorder null: none of that id and client.
  StoredTrace find(const std::string& id, const std::string& client) const;
  std::vector<StoredTrace> list(const std::string& client) const;  // newest first

 private:
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<StoredTrace> traces_;  // newest first
};

}  // namespace qwen3::server
