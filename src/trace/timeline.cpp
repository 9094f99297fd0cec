#include "trace/timeline.h"

#include <fmt/format.h>

#include <set>

#include "base/json.h"

namespace qwen3 {
namespace {

constexpr int kOperations = 1, kRequests = 2;  // "processes" of the format

double per_second(double amount, int64_t ns) {
  return ns > 0 ? amount / (static_cast<double>(ns) * 1e-9) : 0;
}

double microseconds(int64_t ns) { return static_cast<double>(ns) * 1e-3; }

// The events of one file, separated by commas.
class Events {
 public:
  void name_of(std::string_view what, int process, uint64_t track, std::string_view name) {
    add(fmt::format(R"({{"name":"{}","ph":"M","pid":{},"tid":{},"args":{{"name":{}}}}})",
                    what,
                    process,
                    track,
                    dump_json(std::string(name))));
  }
  // `args` is the inside of a JSON object.
  void span(std::string_view name,
            int process,
            uint64_t track,
            int64_t begin_ns,
            int64_t duration_ns,
            std::string_view args) {
    add(fmt::format(
        R"({{"name":{},"ph":"X","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},"args":{{{}}}}})",
        dump_json(std::string(name)),
        process,
        track,
        microseconds(begin_ns),
        microseconds(duration_ns),
        args));
  }
  void moment(std::string_view name, int process, uint64_t track, int64_t ns) {
    add(fmt::format(R"({{"name":{},"ph":"i","s":"t","pid":{},"tid":{},"ts":{:.3f}}})",
                    dump_json(std::string(name)),
                    process,
                    track,
                    microseconds(ns)));
  }
  const std::string& text() const { return text_; }

 private:
  void add(std::string_view event) {
    if (!text_.empty()) text_ += ",\n";
    text_ += event;
  }
  std::string text_;
};

void add_operations(Events& events, const SpanLog& log) {
  for (const SpanLog::Outer& outer : log.outers()) {
    events.span(outer.name, kOperations, 1, outer.begin_ns, outer.duration_ns, "");
  }
  for (const Span& span : log.spans()) {
    events.span(span.op,
                kOperations,
                1,
                span.begin_ns,
                span.duration_ns,
                fmt::format(R"("rows":{},"bytes":{:.0f},"flops":{:.0f},"GB/s":{:.3f},)"
                            R"("GFLOP/s":{:.3f})",
                            span.n_rows,
                            span.bytes,
                            span.flops,
                            per_second(span.bytes, span.duration_ns) * 1e-9,
                            per_second(span.flops, span.duration_ns) * 1e-9));
  }
}

void add_request(Events& events, const RequestSpan& span) {
  if (span.kind != RequestSpan::Kind::request) {
    const std::string args =
        span.kind == RequestSpan::Kind::queue
            ? ""
            : fmt::format(R"("first_token":{},"tokens":{})", span.first_token, span.n_tokens);
    events.span(
        kind_name(span.kind), kRequests, span.request_id, span.begin_ns, span.duration_ns, args);
    return;
  }
  const std::string_view reason = finish_reason_name(span.reason);
  events.span(fmt::format("request {}", span.request_id),
              kRequests,
              span.request_id,
              span.begin_ns,
              span.duration_ns,
              fmt::format(R"("prompt_tokens":{},"generated_tokens":{},"finish":"{}")",
                          span.n_prompt,
                          span.n_generated,
                          reason));
  events.moment(fmt::format("finish: {}", reason),
                kRequests,
                span.request_id,
                span.begin_ns + span.duration_ns);
}

void add_requests(Events& events, const RequestSpans& requests) {
  events.name_of("process_name", kRequests, 0, "requests");
  std::set<uint64_t> ids;
  for (const RequestSpan& span : requests.spans()) ids.insert(span.request_id);
  for (const uint64_t id : ids) {
    events.name_of("thread_name", kRequests, id, fmt::format("request {}", id));
  }
  for (const RequestSpans::Step& step : requests.steps()) {
    events.span("step",
                kOperations,
                1,
                step.begin_ns,
                step.duration_ns,
                fmt::format(R"("requests":{},"tokens":{})", step.n_requests, step.n_tokens));
  }
  for (const RequestSpan& span : requests.spans()) add_request(events, span);
}

}  // namespace

std::string timeline_json(std::string_view process,
                          const SpanLog& operations,
                          const RequestSpans* requests) {
  Events events;
  events.name_of("process_name", kOperations, 1, process);
  if (requests != nullptr) add_requests(events, *requests);
  add_operations(events, operations);
  const int64_t n_dropped =
      operations.n_dropped() + (requests != nullptr ? requests->n_dropped() : 0);
  return fmt::format(
      R"({{"displayTimeUnit":"ns","otherData":{{"dropped_spans":{}}},"traceEvents":[{}]}})"
      "\n",
      n_dropped,
      events.text());
}

}  // namespace qwen3
