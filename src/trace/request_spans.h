// RequestSpans: the life of every request of an engine as spans, made from its step reports
// (EngineOptions::on_step): waiting, prefill chunks, decoded tokens, what was computed again after
// a preemption, and the end. The times are those of a SpanLog, so that the operations of a step
// stand above its requests in one timeline.
//
// One thread records: the engine's.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "qwen3/engine.h"

namespace qwen3 {

struct RequestSpan {
  enum class Kind { request, queue, prefill, decode, again };
  uint64_t request_id = 0;
  Kind kind = Kind::request;
  int64_t begin_ns = 0, duration_ns = 0;
  int64_t first_token = 0, n_tokens = 0;     // of prefill, decode and again
  int64_t n_prompt = 0, n_generated = 0;     // of request
  FinishReason reason = FinishReason::stop;  // of request
};
std::string_view kind_name(RequestSpan::Kind kind);

class RequestSpans {
 public:
  // Times count from `origin`. Beyond max_spans, spans are counted and dropped.
  explicit RequestSpans(Clock::time_point origin, int64_t max_spans = 1 << 18)
      : origin_(origin), max_spans_(max_spans) {}

  void add(const StepReport& step);
  void clear();

  struct Step {
    int64_t begin_ns = 0, duration_ns = 0;
    int64_t n_requests = 0, n_tokens = 0;
  };
  const std::vector<Step>& steps() const { return steps_; }
  // A request's own span follows those inside it.
  const std::vector<RequestSpan>& spans() const { return spans_; }
  int64_t n_dropped() const { return n_dropped_; }

 private:
  struct Running {
    int64_t begin_ns = 0;
    int64_t n_computed = 0, n_prompt = 0;
  };

  int64_t since_origin(Clock::time_point time) const;
  Running& running(uint64_t id, Clock::time_point submitted, Clock::time_point left_queue);
  void keep(const RequestSpan& span);

  Clock::time_point origin_;
  int64_t max_spans_;
  std::map<uint64_t, Running> running_;
  std::vector<Step> steps_;
  std::vector<RequestSpan> spans_;
  int64_t n_dropped_ = 0;
};

}  // namespace qwen3
