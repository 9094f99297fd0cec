// The decorator: the same numbers as what it decorates, and spans that say what was done.
#include "trace/tracing_backend.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/json.h"
#include "kernels/reference/reference_backend.h"
#include "trace/timeline.h"

namespace qwen3 {
namespace {

std::vector<float> counting(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

TEST(TracingBackend, RecordsBytesAndOperations) {
  SpanLog log;
  const auto inner = make_reference_backend();
  const auto traced = make_tracing_backend(*inner, log);
  const auto plain = make_reference_backend();
  std::vector<float> x = counting(6), w = counting(12), out(8), expected(8);
  const Linear linear{reference_weight(w, {4, 3}), {}};
  traced->linear(Tensor::view(out, {2, 4}), Tensor::view(x, {2, 3}), linear);
  plain->linear(Tensor::view(expected, {2, 4}), Tensor::view(x, {2, 3}), linear);
  EXPECT_EQ(out, expected);
  ASSERT_EQ(log.spans().size(), 1u);
  const Span& span = log.spans().front();
  EXPECT_EQ(span.op, "linear");
  EXPECT_EQ(span.n_rows, 2);
  EXPECT_DOUBLE_EQ(span.bytes, 4 * (6 + 12 + 8));
  EXPECT_DOUBLE_EQ(span.flops, 2 * 2 * 12);
  EXPECT_GE(span.duration_ns, 0);
}

// A fused operation is one span; while someone watches, it is its primitive parts.
TEST(TracingBackend, FusedOrPrimitive) {
  SpanLog log;
  const auto inner = make_reference_backend();
  const auto traced = make_tracing_backend(*inner, log);
  std::vector<float> q = counting(8), k = counting(4), norm = counting(4), angles(4, .5f);
  const QkNormRope options{.q_norm = Tensor::view(norm, {4}),
                           .k_norm = Tensor::view(norm, {4}),
                           .eps = 1e-6f,
                           .cos = Tensor::view(angles, {1, 2}),
                           .sin = Tensor::view(angles, {1, 2}),
                           .order = QkNormRope::Order::norm_then_rope};
  const auto run = [&] {
    traced->qk_norm_rope(Tensor::view(q, {1, 2, 4}), Tensor::view(k, {1, 1, 4}), options);
  };
  run();
  ASSERT_EQ(log.spans().size(), 1u);
  EXPECT_EQ(log.spans()[0].op, "qk_norm_rope");
  log.clear();
  std::vector<std::string> seen;
  const Observer observer = [&](std::string_view name, const Tensor&) { seen.emplace_back(name); };
  traced->set_observer(&observer);
  run();
  traced->set_observer(nullptr);
  EXPECT_EQ(seen, (std::vector<std::string>{"q_norm", "k_norm", "q_rope", "k_rope"}));
  ASSERT_EQ(log.spans().size(), 4u);
  EXPECT_EQ(log.spans()[0].op, "rms_norm");
  EXPECT_EQ(log.spans()[3].op, "rope_rotate_half");
}

TEST(SpanLog, ExportsChromeEvents) {
  SpanLog log;
  const auto begin = SpanLog::Clock::now();
  log.add("linear", begin, 3, 100, 200);
  log.add("linear", begin, 1, 50, 20);
  log.add("add", begin, 1, 1, 1);
  log.add_outer("pass \"1\"", begin);
  const Json json = parse_json(timeline_json("model\n", log), "trace");
  const Json& events = json["traceEvents"];
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0]["args"]["name"], "model\n");
  EXPECT_EQ(events[1]["name"], "pass \"1\"");
  EXPECT_EQ(events[2]["ph"], "X");
  EXPECT_EQ(events[2]["args"]["bytes"], 100);
  double calls = 0;
  for (const OpTotal& total : log.totals()) {
    if (total.op != "linear") continue;
    calls = static_cast<double>(total.n_calls);
    EXPECT_DOUBLE_EQ(total.bytes, 150);
  }
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace qwen3
