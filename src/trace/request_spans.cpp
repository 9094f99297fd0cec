#include "trace/request_spans.h"

#include <algorithm>

namespace qwen3 {

std::string_view kind_name(RequestSpan::Kind kind) {
  switch (kind) {
    case RequestSpan::Kind::request:
      return "request";
    case RequestSpan::Kind::queue:
      return "queue";
    case RequestSpan::Kind::prefill:
      return "prefill";
    case RequestSpan::Kind::decode:
      return "decode";
    case RequestSpan::Kind::again:
      return "again";
  }
  return "?";
}

int64_t RequestSpans::since_origin(Clock::time_point time) const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time - origin_).count();
}

// The state of a request; a new one has waited until `left_queue`.
RequestSpans::Running& RequestSpans::running(uint64_t id,
                                             Clock::time_point submitted,
                                             Clock::time_point left_queue) {
  const auto [place, is_new] = running_.try_emplace(id);
  if (is_new) {
    place->second.begin_ns = since_origin(submitted);
    // A request that came while the step began was taken in by the next look at the inbox.
    keep({.request_id = id,
          .kind = RequestSpan::Kind::queue,
          .begin_ns = place->second.begin_ns,
          .duration_ns = std::max<int64_t>(0, since_origin(left_queue) - place->second.begin_ns)});
  }
  return place->second;
}

void RequestSpans::add(const StepReport& step) {
  const int64_t begin = since_origin(step.begin), duration = since_origin(step.end) - begin;
  Step whole{.begin_ns = begin, .duration_ns = duration};
  for (const StepReport::Computed& part : step.computed) {
    Running& request = running(part.request_id, part.submitted, step.begin);
    request.n_prompt = part.n_prompt;
    const int64_t end = part.first_token + part.n_tokens;
    const auto kind = part.first_token < request.n_computed ? RequestSpan::Kind::again
                      : part.first_token >= part.n_prompt   ? RequestSpan::Kind::decode
                                                            : RequestSpan::Kind::prefill;
    request.n_computed = std::max(request.n_computed, end);
    keep({.request_id = part.request_id,
          .kind = kind,
          .begin_ns = begin,
          .duration_ns = duration,
          .first_token = part.first_token,
          .n_tokens = part.n_tokens});
    ++whole.n_requests;
    whole.n_tokens += part.n_tokens;
  }
  if (whole.n_requests > 0 && static_cast<int64_t>(steps_.size()) < max_spans_) {
    steps_.push_back(whole);
  }
  for (const StepReport::Ended& ended : step.ended) {
    const Running& request = running(ended.request_id, ended.submitted, step.end);
    // Of the generated tokens the last one is never computed, the first comes from the prefill.
    const bool has_drawn = request.n_computed > 0 && request.n_computed >= request.n_prompt;
    const int64_t n_generated = has_drawn ? request.n_computed - request.n_prompt + 1 : 0;
    keep({.request_id = ended.request_id,
          .kind = RequestSpan::Kind::request,
          .begin_ns = request.begin_ns,
          .duration_ns = begin + duration - request.begin_ns,
          .n_prompt = request.n_prompt,
          .n_generated = n_generated,
          .reason = ended.reason});
    running_.erase(ended.request_id);
  }
}

void RequestSpans::clear() {
  running_.clear();
  steps_.clear();
  spans_.clear();
  n_dropped_ = 0;
}

void RequestSpans::keep(const RequestSpan& span) {
  if (static_cast<int64_t>(spans_.size()) < max_spans_) {
    spans_.push_back(span);
  } else {
    ++n_dropped_;
  }
}

}  // namespace qwen3
