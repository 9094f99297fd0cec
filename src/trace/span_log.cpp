#include "trace/span_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/json.h"

namespace qwen3 {
namespace {

int64_t nanoseconds(SpanLog::Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

double per_second(double amount, int64_t ns) {
  return ns > 0 ? amount / (static_cast<double>(ns) * 1e-9) : 0;
}

}  // namespace

void SpanLog::add(
    std::string_view op, Clock::time_point begin, int64_t n_rows, double bytes, double flops) {
  spans_.push_back({.op = op,
                    .begin_ns = nanoseconds(begin - origin_),
                    .duration_ns = nanoseconds(Clock::now() - begin),
                    .n_rows = n_rows,
                    .bytes = bytes,
                    .flops = flops});
}

void SpanLog::add_outer(std::string name, Clock::time_point begin) {
  outers_.push_back(
      {std::move(name), nanoseconds(begin - origin_), nanoseconds(Clock::now() - begin)});
}

void SpanLog::clear() {
  spans_.clear();
  outers_.clear();
}

std::vector<OpTotal> SpanLog::totals() const {
  std::vector<OpTotal> totals;
  for (const Span& span : spans_) {
    auto total = std::ranges::find(totals, span.op, &OpTotal::op);
    if (total == totals.end()) total = totals.insert(totals.end(), OpTotal{.op = span.op});
    ++total->n_calls;
    total->seconds += static_cast<double>(span.duration_ns) * 1e-9;
    total->bytes += span.bytes;
    total->flops += span.flops;
  }
  std::ranges::stable_sort(totals, std::ranges::greater(), &OpTotal::seconds);
  return totals;
}

std::string SpanLog::chrome_json(std::string_view process) const {
  std::string text = R"({"displayTimeUnit":"ns","traceEvents":[)";
  text += R"({"name":"process_name","ph":"M","pid":1,"tid":1,"args":{"name":)" +
          dump_json(std::string(process)) + "}}";
  const auto event = [&](const std::string& name, int64_t begin, int64_t duration) {
    text += fmt::format(
        ",\n{{\"name\":{},\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":{:.3f},\"dur\":{:.3f}",
        dump_json(name),
        static_cast<double>(begin) * 1e-3,
        static_cast<double>(duration) * 1e-3);
  };
  for (const Outer& outer : outers_) {
    event(outer.name, outer.begin_ns, outer.duration_ns);
    text += "}";
  }
  for (const Span& span : spans_) {
    event(std::string(span.op), span.begin_ns, span.duration_ns);
    text += fmt::format(
        ",\"args\":{{\"rows\":{},\"bytes\":{:.0f},\"flops\":{:.0f},\"GB/s\":{:.3f},\"GFLOP/"
        "s\":{:.3f}}}}}",
        span.n_rows,
        span.bytes,
        span.flops,
        per_second(span.bytes, span.duration_ns) * 1e-9,
        per_second(span.flops, span.duration_ns) * 1e-9);
  }
  return text + "]}\n";
}

}  // namespace qwen3
