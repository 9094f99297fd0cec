// The state behind an EventStream: a queue from the engine thread to one reader.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/inbox.h"
#include "qwen3/engine.h"

namespace qwen3 {

struct EventStream::State {
  State(std::shared_ptr<Inbox> engine_inbox, uint64_t request_id)
      : inbox(std::move(engine_inbox)), id(request_id) {}

  void push(const Event& event);
  // The next event; waits for it no longer than `patience`, if that is given. Throws
  // Error{out_of_memory} where one was lost.
  std::optional<Event> pop(std::optional<std::chrono::milliseconds> patience);

  const std::shared_ptr<Inbox> inbox;
  const uint64_t id;

  std::mutex mutex;
  std::condition_variable arrived;
  std::vector<Event> events;  // under mutex
  bool lost = false;          // under mutex: none follows these, the request was given up

  // Of the reader alone: what it took in one go, and how far it is. Both vectors keep their
  // capacity.
  std::vector<Event> taken;
  size_t next = 0;
  bool finished = false;  // the reader has seen the last event
};

}  // namespace qwen3
