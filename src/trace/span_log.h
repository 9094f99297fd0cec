// SpanLog: when each operation ran, how long, and what it moved and computed.
//
// One thread records (the one that calls the backend). Spans do not overlap.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3 {

struct Span {
  std::string_view op;  // a literal: "linear"
  int64_t begin_ns = 0, duration_ns = 0;
  int64_t n_rows = 0;  // tokens
  double bytes = 0;    // that must move at least once: weights used, inputs, outputs
  double flops = 0;    // multiplications and additions
};

// All spans of one operation together.
struct OpTotal {
  std::string_view op;
  int64_t n_calls = 0;
  double seconds = 0, bytes = 0, flops = 0;
};

class SpanLog {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr int64_t kMaxSpans = 1 << 18;

  void add(
      std::string_view op, Clock::time_point begin, int64_t n_rows, double bytes, double flops);
  void clear();
  // The first kMaxSpans; the totals count all.
  const std::vector<Span>& spans() const { return spans_; }
  int64_t n_dropped() const { return n_dropped_; }
  std::vector<OpTotal> totals() const;  // most expensive first

  // One whole, above the operations: a forward pass or a request.
  struct Outer {
    std::string name;
    int64_t begin_ns = 0, duration_ns = 0;
  };
  void add_outer(std::string name, Clock::time_point begin);
  const std::vector<Outer>& outers() const { return outers_; }
  Clock::time_point origin() const { return origin_; }  // where begin_ns counts from

 private:
  Clock::time_point origin_ = Clock::now();
  std::vector<Span> spans_;
  std::vector<OpTotal> totals_;  // in order of appearance
  int64_t n_dropped_ = 0;
  std::vector<Outer> outers_;
};

}  // namespace qwen3
