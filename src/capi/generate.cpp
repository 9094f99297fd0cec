// Many requests together: as many as the engine's queue takes are in it, and each is read as it goes, so that one which
// has met its stop string does not go on behind it.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "capi/engine.h"
#include "capi/reader.h"
#include "capi/request.h"
#include "capi/structs.h"
#include "capi/views.h"

namespace qwen3::capi {
namespace {

struct ResultsObject : Object {
  static constexpr Kind kKind = Kind::results;
  ResultsObject() : Object(kKind) {}
  std::vector<Answer> answers;
};

class Batch {
 public:
  // Borrows the requests.
  Batch(EngineObject& engine, std::span<const qwen3_request* const> requests)
      : engine_(engine),
        requests_(requests),
        readers_(requests.size()),
        answers_(requests.size()) {}

  size_t n_done() const { return n_done_; }
  bool done() const { return n_done_ == requests_.size(); }
  std::vector<Answer> take_answers() { return std::move(answers_); }

  // Reads what has come, or waits a turn at most.
  void advance() {
    submit();
    bool moved = false;
    std::optional<size_t> waiting;
    for (size_t i = 0; i < next_; ++i) {
      if (!readers_[i]) continue;
      moved = read(i, std::chrono::milliseconds(0)) || moved;
      if (readers_[i] && !waiting) waiting = i;
    }
    if (!moved && waiting) read(*waiting, kTurn);
  }

 private:
  void submit() {
    if (n_done_when_full_ == n_done_) return;  // nothing has left the queue since
    while (next_ < requests_.size()) {
      try {
        readers_[next_].emplace(engine_.engine, read_request(*engine_.model, requests_[next_]));
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::busy || n_done_ == next_) throw;
        n_done_when_full_ = n_done_;
        return;
      }
      ++next_;
    }
  }

  bool read(size_t i, std::chrono::milliseconds patience) {
    bool moved = false;
    while (const std::optional<Step> step = readers_[i]->next(patience)) {
      moved = true;
      patience = std::chrono::milliseconds(0);
      answers_[i].add(*step);
    }
    if (readers_[i]->ended()) {
      readers_[i].reset();
      ++n_done_;
      moved = true;
    }
    return moved;
  }

  EngineObject& engine_;
  const std::span<const qwen3_request* const> requests_;
  std::vector<std::optional<Reader>> readers_;  // those that run
  std::vector<Answer> answers_;
  size_t next_ = 0;  // the first that was not submitted
  size_t n_done_ = 0;
  std::optional<size_t> n_done_when_full_ = {};
};

}  // namespace
}  // namespace qwen3::capi

using namespace qwen3::capi;

qwen3_status qwen3_generate(qwen3_engine handle,
                            const qwen3_request* const* requests,
                            size_t n_requests,
                            int64_t timeout_ms,
                            qwen3_on_progress on_progress,
                            void* user,
                            qwen3_results* results) {
  return guarded(__func__, [&] {
    const auto engine = object_of<EngineObject>(handle);
    check_given(results, "results");
    if (n_requests > 0) check_given(requests, "requests");
    for (size_t i = 0; i < n_requests; ++i) read_struct(requests[i], "requests");
    const auto deadline = deadline_of(timeout_ms);
    auto object = std::make_shared<ResultsObject>();
    Batch batch(*engine, {requests, n_requests});
    while (!batch.done()) {
      batch.advance();
      if (on_progress != nullptr && on_progress(batch.n_done(), n_requests, user) != 0)
        return QWEN3_END;
      if (batch.done()) break;
      if (engine->is_closed) throw HandleError{"the engine was closed meanwhile"};
      if (deadline && std::chrono::steady_clock::now() >= *deadline) return QWEN3_TIMEOUT;
    }
    object->answers = batch.take_answers();
    *results = new_handle<qwen3_results>(std::move(object));
    return QWEN3_OK;
  });
}

qwen3_status qwen3_results_count(qwen3_results handle, size_t* count) {
  return guarded(__func__, [&] {
    const auto object = object_of<ResultsObject>(handle);
    check_given(count, "count");
    *count = object->answers.size();
    return QWEN3_OK;
  });
}

qwen3_status qwen3_results_get(qwen3_results handle, size_t index, qwen3_result* result) {
  return guarded(__func__, [&] {
    const auto object = object_of<ResultsObject>(handle);
    check_struct(result, "result");
    check_index(index, object->answers.size());
    write_struct(object->answers[index].show(), result);
    return QWEN3_OK;
  });
}

qwen3_status qwen3_results_close(qwen3_results results) {
  return guarded(__func__, [&] {
    close_handle<ResultsObject>(results);
    return QWEN3_OK;
  });
}
