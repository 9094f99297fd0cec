// TraceStore: the records of requests that asked for one (`"trace": true`), until they are too old
// or make room for newer ones. A trace goes by the id of its answer and belongs to the client that
// asked: nobody else can fetch it or learn that it is there. trace_page.h makes a page of one.
//
//   begin() ── TraceRecording: its recorder is the request's tap ── keep() ── list(), find()
//
// Thread safe. A recording ends, kept or dropped, before its store does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "qwen3/request.h"
#include "server/api/options.h"
#include "server/http/http.h"
#include "trace/summary.h"

namespace qwen3::server {

struct StoredTrace {
  std::string id;       // of the answer: "chatcmpl-…"
  std::string client;   // Client::name
  int64_t created = 0;  // Unix time
  Usage usage = {};
  std::vector<int32_t> ids = {};  // that are recorded: prompt, then answer
  // After its request's last event: read only.
  std::shared_ptr<const RequestRecorder> recorder = {};

  size_t n_bytes() const;  // about what it takes in memory
};

class TraceStore;

// A request that is being recorded; it holds one of the store's places.
class TraceRecording {
 public:
  TraceRecording(TraceStore& store, std::string id, const Client& client);
  ~TraceRecording();
  TraceRecording(const TraceRecording&) = delete;

  const std::shared_ptr<RequestRecorder>& recorder() const { return recorder_; }
  // The next token of the request: of its prompt, then of its answer.
  void add(int32_t id);
  // The request has had its last event. Once.
  void keep(const Usage& usage);

 private:
  TraceStore& store_;
  const std::string id_, client_;
  std::vector<int32_t> ids_;  // as many as may be recorded
  std::shared_ptr<RequestRecorder> recorder_;
};

class TraceStore {
 public:
  explicit TraceStore(const TraceOptions& options) : options_(options) {}

  // Throws ApiError{429} when as many requests are recorded as may be at a time.
  std::unique_ptr<TraceRecording> begin(std::string id, const Client& client);
  // The oldest make room. The newest is kept whatever its size.
  void keep(StoredTrace trace, Clock::time_point now = Clock::now());

  // recorder null: none of that id and client.
  StoredTrace find(const std::string& id,
                   const Client& client,
                   Clock::time_point now = Clock::now());
  std::vector<StoredTrace> list(const Client& client,
                                Clock::time_point now = Clock::now());  // newest first

 private:
  friend class TraceRecording;
  struct Entry {
    StoredTrace trace;
    size_t n_bytes;
    Clock::time_point kept;
  };

  void drop_oldest();                        // under mutex_
  void drop_same(const StoredTrace& trace);  // under mutex_
  void drop_expired(Clock::time_point now);  // under mutex_

  const TraceOptions options_;
  std::mutex mutex_;
  int64_t n_recording_ = 0;
  size_t n_bytes_ = 0;
  std::deque<Entry> traces_;  // newest first
};

}  // namespace qwen3::server
