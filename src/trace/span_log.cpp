#include "trace/span_log.h"

#include <algorithm>
#include <utility>

namespace qwen3 {
namespace {

int64_t nanoseconds(SpanLog::Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

}  // namespace

void SpanLog::add(
    std::string_view op, Clock::time_point begin, int64_t n_rows, double bytes, double flops) {
  const Span span{.op = op,
                  .begin_ns = nanoseconds(begin - origin_),
                  .duration_ns = nanoseconds(Clock::now() - begin),
                  .n_rows = n_rows,
                  .bytes = bytes,
                  .flops = flops};
  auto total = std::ranges::find(totals_, op, &OpTotal::op);
  if (total == totals_.end()) total = totals_.insert(totals_.end(), OpTotal{.op = op});
  ++total->n_calls;
  total->seconds += static_cast<double>(span.duration_ns) * 1e-9;
  total->bytes += bytes;
  total->flops += flops;
  if (static_cast<int64_t>(spans_.size()) < kMaxSpans) {
    spans_.push_back(span);
  } else {
    ++n_dropped_;
  }
}

void SpanLog::add_outer(std::string name, Clock::time_point begin) {
  outers_.push_back(
      {std::move(name), nanoseconds(begin - origin_), nanoseconds(Clock::now() - begin)});
}

void SpanLog::clear() {
  spans_.clear();
  totals_.clear();
  n_dropped_ = 0;
  outers_.clear();
}

std::vector<OpTotal> SpanLog::totals() const {
  std::vector<OpTotal> totals = totals_;
  std::ranges::stable_sort(totals, std::ranges::greater(), &OpTotal::seconds);
  return totals;
}

}  // namespace qwen3
